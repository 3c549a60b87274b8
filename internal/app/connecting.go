package app

import (
	"context"
	"sync"

	"github.com/balanceq/balanceq/kafkawire"
)

// connecting opens connections beside what else is done for a start. The zero value has none under way.
type connecting struct {
	cancels []context.CancelFunc
	wg      sync.WaitGroup
}

// ahead returns at once.
func (c *connecting) ahead(ctx context.Context, wire *kafkawire.Client, topic, group string) {
	ctx, cancel := context.WithCancel(ctx)
	c.cancels = append(c.cancels, cancel)
	c.wg.Go(func() { wire.Connect(ctx, topic, group) })
}

// stop ends what is under way.
func (c *connecting) stop() {
	for _, cancel := range c.cancels {
		cancel()
	}
	c.wg.Wait()
}
