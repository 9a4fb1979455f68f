package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
)

// Sessions at a time, and streams that one keeps for clients who come back. What is beyond costs memory for ever.
const (
	mostSessions = 1000
	mostStreams  = 100
)

type sessions struct {
	lock sync.Mutex
	byID map[string]*session
}

type session struct {
	id, owner string
	ended     chan struct{}
	// What the server says of its own.
	standing *stream

	lock    sync.Mutex
	streams map[int]*stream
	next    int
}

func (s *sessions) open(owner string) (*session, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.byID == nil {
		s.byID = map[string]*session{}
	}
	if len(s.byID) >= mostSessions {
		return nil, errors.New("there are too many sessions")
	}
	opened := &session{id: rand.Text(), owner: owner, ended: make(chan struct{}), streams: map[int]*stream{}}
	opened.standing = opened.begin()
	s.byID[opened.id] = opened
	return opened, nil
}

// get gives a session to its owner. To anybody else it is not there.
func (s *sessions) get(id, owner string) (*session, bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	found, known := s.byID[id]
	if !known || found.owner != owner {
		return nil, false
	}
	return found, true
}

func (s *sessions) end(ended *session) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if _, known := s.byID[ended.id]; known {
		delete(s.byID, ended.id)
		close(ended.ended)
	}
}

// begin begins a stream, and forgets the oldest where there are too many.
func (s *session) begin() *stream {
	s.lock.Lock()
	defer s.lock.Unlock()
	begun := &stream{number: s.next, more: make(chan struct{})}
	s.streams[s.next] = begun
	// The first is the standing one.
	if old := s.next - mostStreams; old > 0 {
		delete(s.streams, old)
	}
	s.next++
	return begun
}

// after finds what follows an event.
func (s *session) after(event string) (*stream, int) {
	var number, at int
	if _, err := fmt.Sscanf(event, "%d-%d", &number, &at); err != nil || at < 0 {
		return nil, 0
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.streams[number], at + 1
}

// stream is what was said, kept for whoever missed it.
type stream struct {
	number int
	lock   sync.Mutex
	said   [][]byte
	over   bool
	// Closed when there is more.
	more chan struct{}
}

func (s *stream) send(message any) {
	data, err := json.Marshal(message)
	if err != nil {
		return
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	s.said = append(s.said, data)
	close(s.more)
	s.more = make(chan struct{})
}

func (s *stream) end() {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.over = true
	close(s.more)
	s.more = make(chan struct{})
}

// from gives what was said from there on, whether it is over, and what tells of more.
func (s *stream) from(next int) (said [][]byte, over bool, more <-chan struct{}) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if next < len(s.said) {
		said = s.said[next:]
	}
	return said, s.over, s.more
}
