package plugin_sdk

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"

	"mortise.test/sdk/proto/managementpb"
)

// Attempts to come through to the gateway. Each waits five seconds in the library, which may have forgotten where the
// gateway is by the time it is asked, until the gateway tells it again.
const attempts = 5

// link is the way back to the gateway: dialled when it is first needed, and kept.
type link struct {
	runtime RuntimeType
	dial    func(id uint32) (*grpc.ClientConn, error)

	lock       sync.Mutex
	id         uint32
	plugin     uint32
	connection *grpc.ClientConn
	// One dial at a time: two would fight over what the library has been told.
	dialling sync.Mutex
}

// know takes what the gateway says of itself and of the plugin; zero is nothing said.
func (l *link) know(id, plugin uint32) {
	l.lock.Lock()
	defer l.lock.Unlock()
	if id != 0 {
		l.id = id
	}
	if plugin != 0 {
		l.plugin = plugin
	}
}

func (l *link) known() (connection *grpc.ClientConn, id, plugin uint32) {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.connection, l.id, l.plugin
}

// about says who asks and by which permission. The gateway goes by the connection, older ones by this.
func (l *link) about(scope string) *managementpb.PluginContext {
	_, _, plugin := l.known()
	return &managementpb.PluginContext{PluginId: plugin, MethodScope: scope}
}

// connect gives the connection, dialling it if need be.
func (l *link) connect(ctx context.Context) (*grpc.ClientConn, error) {
	if connection, _, _ := l.known(); connection != nil {
		return connection, nil
	}
	l.dialling.Lock()
	defer l.dialling.Unlock()
	var err error
	for attempt := range attempts {
		connection, id, _ := l.known()
		switch {
		case connection != nil:
			return connection, nil
		case l.dial == nil || id == 0:
			return nil, errors.New("the gateway offers this plugin no services")
		}
		if connection, err = l.dial(id); err == nil {
			l.lock.Lock()
			l.connection = connection
			l.lock.Unlock()
			return connection, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Duration(attempt+1) * 50 * time.Millisecond):
		}
	}
	return nil, fmt.Errorf("connecting to the gateway's services: %w", err)
}
