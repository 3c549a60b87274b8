package cmsclient

import (
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/balanceq/balanceq/cmsclient/http1"
)

// poolAge is how long a pool of connections is used, and up to a fifth more, so that instances which started together
// do not all connect again together.
const poolAge = 5 * time.Minute

// pool is what rotation needs of a *http1.Transport.
type pool interface {
	Prepare(r *http.Request) (http1.Exchange, error)
	CloseIdleConnections()
}

// rotation exchanges its pool for a new one every few minutes. A busy connection is kept for ever; new ones see that
// the CMS's name means another address now, and that there is another client certificate. The old pool's connections
// are closed when they are idle, so there never are more connections than calls.
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

// Prepare has a request ready on a connection of the current pool.
func (r *rotation) Prepare(req *http.Request) (http1.Exchange, error) {
	g := r.current.Load()
	if time.Now().After(g.until) {
		g = r.exchange(g)
	}
	return g.Prepare(req)
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
