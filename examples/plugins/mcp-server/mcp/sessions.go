package mcp

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Sessions at a time, and streams that one keeps for clients who come back. What is beyond costs memory for ever, so the
// session that was not used for longest ends, and the oldest stream is forgotten.
const (
	mostSessions = 1000
	mostStreams  = 100
)

// Levels of what is logged, the least first.
var levels = []string{"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"}

type sessions struct {
	lock sync.Mutex
	byID map[string]*session
}

type session struct {
	id, owner, version string
	// What the client can do.
	able map[string]json.RawMessage
	ctx  context.Context
	end  context.CancelFunc
	// What the server says of its own.
	standing *stream
	// Guarded by the lock of all sessions.
	used time.Time

	lock    sync.Mutex
	streams map[int]*stream
	next    int
	level   int
	watched map[string]bool
	// Requests of the client that run, and those to the client that wait, by id.
	running map[string]context.CancelFunc
	waiting map[string]chan message
	asked   int
}

func (s *sessions) open(owner, version string, able map[string]json.RawMessage) *session {
	opened := &session{
		id: rand.Text(), owner: owner, version: version, able: able,
		streams: map[int]*stream{}, watched: map[string]bool{},
		running: map[string]context.CancelFunc{}, waiting: map[string]chan message{},
	}
	opened.ctx, opened.end = context.WithCancel(context.Background())
	opened.standing = opened.begin()
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.byID == nil {
		s.byID = map[string]*session{}
	}
	if len(s.byID) >= mostSessions {
		s.endOldest()
	}
	opened.used = time.Now()
	s.byID[opened.id] = opened
	return opened
}

func (s *sessions) endOldest() {
	var oldest *session
	for _, one := range s.byID {
		if oldest == nil || one.used.Before(oldest.used) {
			oldest = one
		}
	}
	delete(s.byID, oldest.id)
	oldest.end()
}

// get gives a session to its owner. To anybody else it is not there.
func (s *sessions) get(id, owner string) (*session, bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	found, known := s.byID[id]
	if !known || found.owner != owner {
		return nil, false
	}
	found.used = time.Now()
	return found, true
}

func (s *sessions) all() []*session {
	s.lock.Lock()
	defer s.lock.Unlock()
	all := make([]*session, 0, len(s.byID))
	for _, one := range s.byID {
		all = append(all, one)
	}
	return all
}

func (s *sessions) end(ended *session) {
	s.lock.Lock()
	defer s.lock.Unlock()
	delete(s.byID, ended.id)
	ended.end()
}

// primes says whether streams begin with an event that says nothing, so that a client has an id to come back with.
func (s *session) primes() bool {
	return s.version >= "2025-11-25"
}

// begin begins a stream, and forgets the oldest where there are too many.
func (s *session) begin() *stream {
	s.lock.Lock()
	defer s.lock.Unlock()
	begun := newStream(s.next)
	s.streams[s.next] = begun
	// The first is the standing one.
	if old := s.next - mostStreams; old > 0 {
		delete(s.streams, old)
	}
	s.next++
	return begun
}

// after finds the stream of an event, and how much of it was seen with that.
func (s *session) after(event string) (*stream, int) {
	var number, seen int
	if _, err := fmt.Sscanf(event, "%d-%d", &number, &seen); err != nil || seen < 0 {
		return nil, 0
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.streams[number], seen
}

// run has a request end with the session, and when the client takes it back.
func (s *session) run(ctx context.Context, id json.RawMessage) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.ctx, cancel)
	s.lock.Lock()
	defer s.lock.Unlock()
	s.running[string(id)] = cancel
	return ctx, func() {
		stop()
		cancel()
		s.lock.Lock()
		defer s.lock.Unlock()
		delete(s.running, string(id))
	}
}

// noticed hears a notification.
func (s *session) noticed(told message) {
	if told.Method != "notifications/cancelled" {
		return
	}
	var params struct {
		RequestID json.RawMessage `json:"requestId"`
	}
	if json.Unmarshal(told.Params, &params) != nil {
		return
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	if cancel, runs := s.running[string(params.RequestID)]; runs {
		cancel()
	}
}

// asking begins a request to the client: its id, and where the answer comes.
func (s *session) asking() (string, <-chan message) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.asked++
	id, answer := fmt.Sprintf("server-%d", s.asked), make(chan message, 1)
	s.waiting[id] = answer
	return id, answer
}

func (s *session) forget(id string) {
	s.lock.Lock()
	defer s.lock.Unlock()
	delete(s.waiting, id)
}

// answered takes the client's answer to a request.
func (s *session) answered(told message) {
	var id string
	if json.Unmarshal(told.ID, &id) != nil {
		return
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	if answer, waits := s.waiting[id]; waits {
		delete(s.waiting, id)
		answer <- told
	}
}

func (s *session) logFrom(level string) error {
	at := slices.Index(levels, level)
	if at < 0 {
		return wrong("there is no level %s", level)
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	s.level = at
	return nil
}

func (s *session) logs(level string) bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	return slices.Index(levels, level) >= s.level
}

func (s *session) watch(uri string, watches bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if watches {
		s.watched[uri] = true
	} else {
		delete(s.watched, uri)
	}
}

func (s *session) watches(uri string) bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.watched[uri]
}
