package app

import "github.com/balanceq/balanceq/cmsclient"

// Option changes how New builds a Service.
type Option func(*options)

type options struct{ watchers []cmsclient.Observer }

// WithCMSObserver lets o hear of the CMS client what it can (cmsclient.Observer), besides the metrics.
func WithCMSObserver(o cmsclient.Observer) Option {
	return func(opts *options) { opts.watchers = append(opts.watchers, o) }
}
