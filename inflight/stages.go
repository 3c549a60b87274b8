package inflight

import "time"

// Moment is a time, as far from the program's start as the monotonic clock says: a third of what a time.Time takes, in
// memory and to have. The zero value is none.
type Moment int64

var epoch = time.Now()

// Now is this moment.
func Now() Moment { return Moment(time.Since(epoch) | 1) } // a nanosecond off at most, and never none

// At is the moment of a time that has a monotonic reading.
func At(t time.Time) Moment { return Moment(t.Sub(epoch) | 1) }

// Sub returns how long after another moment this one is.
func (m Moment) Sub(earlier Moment) time.Duration { return time.Duration(m - earlier) }

// Stages are when a request came to the stages of its way. Consumer and processor write them while they have
// it, and they are read when it is answered.
type Stages struct {
	Started Moment // by the consumer
	Waiting Moment // its handler began to wait for leave to call the CMS, or it came while one did
	Asked   Moment // the first call for it began; none: no call was made
	Decided Moment // its outcome was handed over
}
