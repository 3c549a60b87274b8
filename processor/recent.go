package processor

import (
	"time"

	"github.com/balanceq/balanceq/schemas"
)

// buckets divide a window. Its oldest bucket is forgotten as a whole, so what is counted is never older than the
// window, and everything younger than the window less one bucket is.
const buckets = 60

// recent counts the outcomes of a window that moves with the time. It has no lock of its own.
type recent struct {
	width   time.Duration // of a bucket
	start   time.Time     // of bucket 0
	latest  int64         // the bucket that is filled now
	bucket  [buckets]bucket
	results int // sums of all buckets
	letters int
}

type bucket struct {
	results int
	letters map[schemas.Reason]int // nil until there is one; kept, so that counting does not allocate
}

func newRecent(window time.Duration, now time.Time) recent {
	return recent{width: max(1, window/buckets), start: now}
}

// advance forgets what is too old. Time that goes back, as between goroutines it may, changes nothing.
func (r *recent) advance(now time.Time) {
	to := int64(now.Sub(r.start) / r.width)
	for n := max(r.latest+1, to-buckets+1); n <= to; n++ {
		old := &r.bucket[n%buckets]
		r.results -= old.results
		for _, letters := range old.letters {
			r.letters -= letters
		}
		old.results = 0
		clear(old.letters)
	}
	r.latest = max(r.latest, to)
}

func (r *recent) addResult() {
	r.bucket[r.latest%buckets].results++
	r.results++
}

func (r *recent) addLetter(reason schemas.Reason) {
	b := &r.bucket[r.latest%buckets]
	if b.letters == nil {
		b.letters = make(map[schemas.Reason]int, len(schemas.Reasons))
	}
	b.letters[reason]++
	r.letters++
}

// reasons counts the dead letters by their reasons.
func (r *recent) reasons() map[schemas.Reason]int {
	all := map[schemas.Reason]int{}
	for i := range r.bucket {
		for reason, letters := range r.bucket[i].letters {
			all[reason] += letters
		}
	}
	return all
}

// share is how many of the outcomes are dead letters; 0 where there are none.
func (r *recent) share() float64 {
	if r.letters == 0 {
		return 0
	}
	return float64(r.letters) / float64(r.letters+r.results)
}
