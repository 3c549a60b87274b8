package cmsclient

// budget keeps retries and hedges a share of the first calls: each first call pays in RetryShare, each of the others
// takes out 1. It allows for a burst, as a handful of calls often fails together.
//
// Since no request is ever dropped, more failures than that share mean that requests wait. So that they do not wait for
// ever, retries are always allowed while fewer than MinInFlight calls are under way.
type budget struct {
	share, balance, most float64
	floor                int
	retries, hedges      uint64 // made so far
}

func newBudget(cfg Config) *budget {
	most := max(1, cfg.RetryShare*float64(cfg.MaxInFlight))
	return &budget{share: cfg.RetryShare, balance: most, most: most, floor: cfg.MinInFlight}
}

// affords reports whether the balance suffices.
func (b *budget) affords() bool { return b.balance >= 1 }

// allows reports whether a retry may be made beside the calls under way.
func (b *budget) allows(inFlight int) bool { return b.affords() || inFlight < b.floor }

// spend accounts for a call that is made.
func (b *budget) spend(k kind) {
	switch k {
	case first:
		b.balance = min(b.most, b.balance+b.share)
	case retry:
		b.balance = max(0, b.balance-1)
		b.retries++
	case hedge:
		b.balance = max(0, b.balance-1)
		b.hedges++
	}
}
