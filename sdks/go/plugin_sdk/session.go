package plugin_sdk

import (
	"context"
	"fmt"
	"sync"
	"time"

	pb "mortise.test/sdk/proto"
)

const (
	// How long a session lasts where the gateway does not say.
	sessionLasts = 30 * time.Second
	// What a plugin is told that is ready may ask at once: the way back is given this long to be told of.
	readyAfter = 500 * time.Millisecond
)

// sessions are calls of the gateway that stay open until they are closed or over.
type sessions struct {
	ready  sync.Once
	lock   sync.Mutex
	open   map[*session]struct{}
	closed bool
}

type session struct{ reason chan string }

func (s *server) OpenSession(ctx context.Context, req *pb.OpenSessionRequest) (*pb.OpenSessionResponse, error) {
	s.link.know(req.GetServiceBrokerId(), req.GetPluginId())
	s.sessions.ready.Do(func() { go s.ready() })
	answer := &pb.OpenSessionResponse{
		Success:   true,
		SessionId: fmt.Sprintf("session-%d-%d", req.GetPluginId(), req.GetServiceBrokerId()),
	}
	lasts := time.Duration(req.GetTimeoutMs()) * time.Millisecond
	if lasts <= 0 {
		lasts = sessionLasts
	}
	opened := s.sessions.add()
	defer s.sessions.remove(opened)
	over := time.NewTimer(lasts)
	defer over.Stop()
	select {
	case <-over.C:
		answer.CloseReason = pb.OpenSessionResponse_TIMEOUT
	case reason := <-opened.reason:
		answer.CloseReason = closeReason(reason)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return answer, nil
}

// The gateway may have asked for the session to be closed, and the plugin ended, before this runs.
func (s *server) ready() {
	aware, has := s.plugin.(SessionAware)
	if !has {
		return
	}
	time.Sleep(readyAfter)
	var err error
	defer recovered("OnSessionReady", &err)
	if !s.sessions.isClosed() {
		aware.OnSessionReady(s.context(context.Background(), nil))
	}
}

func (s *server) CloseSession(ctx context.Context, req *pb.CloseSessionRequest) (*pb.CloseSessionResponse, error) {
	if aware, has := s.plugin.(SessionAware); has {
		aware.OnSessionClosing(s.context(ctx, nil))
	}
	s.sessions.close(req.GetReason())
	return &pb.CloseSessionResponse{Success: true}, nil
}

func closeReason(reason string) pb.OpenSessionResponse_CloseReason {
	switch reason {
	case "explicit_close", "shutdown", "unload", "plugin_unload":
		return pb.OpenSessionResponse_EXPLICIT_CLOSE
	}
	return pb.OpenSessionResponse_PLUGIN_ERROR
}

func (s *sessions) add() *session {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.open == nil {
		s.open = map[*session]struct{}{}
	}
	opened := &session{reason: make(chan string, 1)}
	s.open[opened] = struct{}{}
	return opened
}

func (s *sessions) remove(closed *session) {
	s.lock.Lock()
	defer s.lock.Unlock()
	delete(s.open, closed)
}

func (s *sessions) close(reason string) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.closed = true
	for opened := range s.open {
		select {
		case opened.reason <- reason:
		default:
		}
	}
}

func (s *sessions) isClosed() bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.closed
}
