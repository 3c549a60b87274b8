package cmsclient

import (
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"
)

// poolAge is how long a pool of connections is used, and up to a fifth more, so that instances which started together
// do not all connect again together.
const poolAge = 5 * time.Minute

// pool is what rotation needs of a *http.Transport.
type pool interface {
	http.RoundTripper
	CloseIdleConnections()
}

// rotation exchanges its pool for a new one every few minutes. net/http keeps a busy connection for ever; new ones see
// that the CMS's name means another address now, and that there is another client certificate. The old pool's
// connections are closed when they are idle, so there never are more connections than calls.
type rotation struct {
	newPool func() pool
	current atomic.Pointer[generation]
}

type generation struct {
	pool
	until time.Time
}

func newRotation(newPool func() pool) *rotation {
	r := &rotation{newPool: newPool}
	r.current.Store(r.next())
	return r
}

func (r *rotation) next() *generation {
	return &generation{r.newPool(), time.Now().Add(poolAge + rand.N(poolAge/5))}
}

// RoundTrip implements http.RoundTripper.
func (r *rotation) RoundTrip(req *http.Request) (*http.Response, error) {
	g := r.current.Load()
	if time.Now().After(g.until) {
		g = r.exchange(g)
	}
	resp, err := g.RoundTrip(req)
	if r.current.Load() != g {
		// A Transport keeps idle connections again from the next call on, and that may have been this one.
		g.CloseIdleConnections()
	}
	return resp, err
}

// exchange replaces old, unless another goroutine has, and returns what is current.
func (r *rotation) exchange(old *generation) *generation {
	if r.current.CompareAndSwap(old, r.next()) {
		old.CloseIdleConnections() // and from now on each that becomes idle
	}
	return r.current.Load()
}

// CloseIdleConnections closes the idle connections.
func (r *rotation) CloseIdleConnections() { r.current.Load().CloseIdleConnections() }
