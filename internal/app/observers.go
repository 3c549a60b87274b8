package app

import (
	"time"

	"github.com/balanceq/balanceq/cmsclient"
)

// Option changes how New builds a Service.
type Option func(*options)

type options struct{ watchers observers }

// WithCMSObserver lets o hear of the calls to the CMS and of the breaker, besides the metrics.
func WithCMSObserver(o cmsclient.Observer) Option {
	return func(opts *options) { opts.watchers = append(opts.watchers, o) }
}

// observers passes everything on to each of them, in order.
type observers []cmsclient.Observer

var _ cmsclient.Observer = observers(nil)

func (all observers) Called(class string, d time.Duration) {
	for _, o := range all {
		o.Called(class, d)
	}
}

func (all observers) BreakerChanged(from, to, failing string) {
	for _, o := range all {
		o.BreakerChanged(from, to, failing)
	}
}

func (all observers) Halted(err error) {
	for _, o := range all {
		o.Halted(err)
	}
}

func (all observers) QuotaSpent(until time.Time) {
	for _, o := range all {
		o.QuotaSpent(until)
	}
}

func (all observers) Resumed() {
	for _, o := range all {
		o.Resumed()
	}
}
