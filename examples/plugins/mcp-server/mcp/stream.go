package mcp

import (
	"encoding/json"
	"sync"
)

// Messages that a stream keeps for who missed them.
const mostSaid = 1000

// Where a client begins that wants what comes from now on.
const latest = -1

// stream is what was said, kept for whoever missed it.
type stream struct {
	number int
	lock   sync.Mutex
	said   [][]byte
	// How many were said before these, and are forgotten.
	gone int
	over bool
	// Closed when there is more.
	more chan struct{}
	// Closed when who is told now is to be told no more.
	hungUp chan struct{}
}

func newStream(number int) *stream {
	return &stream{number: number, more: make(chan struct{}), hungUp: make(chan struct{})}
}

// follower is the one connection that is told a stream.
type follower struct {
	stream *stream
	// How much of it was told.
	seen   int
	hungUp <-chan struct{}
}

// join has a connection be told what comes after so much, in the place of one that was before it.
func (s *stream) join(seen int) follower {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.cut()
	if most := s.gone + len(s.said); seen == latest || seen > most {
		seen = most
	}
	return follower{stream: s, seen: seen, hungUp: s.hungUp}
}

// hangUp ends the connection that is told.
func (s *stream) hangUp() {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.cut()
}

func (s *stream) cut() {
	close(s.hungUp)
	s.hungUp = make(chan struct{})
}

func (s *stream) send(message any) {
	data, err := json.Marshal(message)
	if err != nil {
		return
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	s.said = append(s.said, data)
	if len(s.said) > mostSaid {
		s.said, s.gone = s.said[1:], s.gone+1
	}
	s.wake()
}

func (s *stream) end() {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.over = true
	s.wake()
}

func (s *stream) wake() {
	close(s.more)
	s.more = make(chan struct{})
}

// from gives what was said after so much, how much is seen with the first of it, whether the stream is over, and what
// tells of more.
func (s *stream) from(seen int) (said [][]byte, first int, over bool, more <-chan struct{}) {
	s.lock.Lock()
	defer s.lock.Unlock()
	seen = max(seen, s.gone)
	return s.said[seen-s.gone:], seen + 1, s.over, s.more
}
