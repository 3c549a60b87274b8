package cmsclient

import (
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Backoff gives the waits between the attempts of one request: exponential with full jitter, that is evenly distributed
// between zero and a bound that doubles. It is not safe for concurrent use.
type Backoff struct {
	exponential backoff.ExponentialBackOff
}

// NewBackoff returns a Backoff whose bound starts at initial and doubles up to limit.
func NewBackoff(initial, limit time.Duration) *Backoff {
	// The library spreads evenly around a middle, by a share of it. Half the bound as the middle and a share of 1 make it
	// [0, bound].
	return &Backoff{backoff.ExponentialBackOff{
		InitialInterval:     max(initial, 2) / 2,
		RandomizationFactor: 1,
		Multiplier:          2,
		MaxInterval:         max(limit, initial, 2) / 2,
	}}
}

// Next returns the next wait. It is never shorter than retryAfter, the CMS's own wish (Error.RetryAfter; 0: none): the
// jitter is added to it, so that those who were told the same do not come back together.
func (b *Backoff) Next(retryAfter time.Duration) time.Duration {
	return max(retryAfter, 0) + b.exponential.NextBackOff()
}
