package kafkatest

import (
	"errors"
	"net"
	"strconv"
	"sync"
)

// firstListenPort is below the ephemeral ports, so that no connection of a test takes a port that a broker is to have.
const firstListenPort = 21000

var listenPorts struct {
	sync.Mutex
	next int
}

// Listen listens on a free port of the loopback interface, for kfake.ListenFn.
func Listen(network, _ string) (net.Listener, error) {
	listenPorts.Lock()
	defer listenPorts.Unlock()
	for range 2000 {
		listenPorts.next++
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstListenPort+listenPorts.next))
		if l, err := net.Listen(network, address); err == nil {
			return l, nil
		}
	}
	return nil, errors.New("no free port")
}
