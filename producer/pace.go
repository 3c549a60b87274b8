package producer

import "time"

// pace sizes what is sent at a time by how long the last ones took: sending is to take about aim, so that a slow line
// gets pieces that are through before anybody gives up. On a fast one it never matters. It belongs to one sender at a
// time.
type pace struct {
	limit int // bytes to send at a time; one message is always sent
	most  int
	aim   time.Duration
}

const leastPace = 64 << 10

// took learns from size bytes that are through after d. What small sizes take says nothing: it may be the brokers' own
// time. So only what took too long makes it smaller, and only what could have been larger makes it larger, at most
// twofold.
func (p *pace) took(size int, d time.Duration) {
	fits := p.most
	if d > 0 {
		fits = int(min(float64(p.most), float64(size)*float64(p.aim)/float64(d)))
	}
	switch {
	case d > p.aim:
		p.limit = max(min(p.limit, fits), leastPace)
	case d < p.aim/2 && size >= p.limit/2:
		p.limit = max(min(2*p.limit, fits), p.limit)
	}
}

// late learns that size bytes were not through in time.
func (p *pace) late(size int) { p.limit = max(min(p.limit, size)/4, leastPace) }

// timeout is how long sending size bytes may take before it counts as failed, at least least. What is larger than the
// limit, since it is a single message, gets more in proportion.
func (p *pace) timeout(size int, least time.Duration) time.Duration {
	return max(least, time.Duration(2*float64(p.aim)*float64(size)/float64(p.limit)))
}
