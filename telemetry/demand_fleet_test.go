package telemetry

import (
	"math"
	"slices"
	"testing"
	"time"
)

// fleet are instances that share partitions and a backlog, in the time of a simulation.
type fleet struct {
	now       time.Time
	instances []*demand
	said      []float64
	waits     []waiting // by partition
	load      float64   // requests a second that come in, over all partitions
	capacity  float64   // requests a second that one instance answers at most
	cms       float64   // that the CMS answers at most, to all instances; 0: no limit
	down      bool      // the CMS is
	slow      bool      // the CMS gets slower with more calls, instead of refusing them
	throttles bool      // the CMS answers 429 to what is too much
}

func newFleet(instances, partitions int, load, capacity float64) *fleet {
	f := &fleet{now: epoch, waits: make([]waiting, partitions), load: load, capacity: capacity}
	f.scale(instances)
	return f
}

// scale starts and stops instances.
func (f *fleet) scale(n int) {
	for len(f.instances) < n {
		f.instances, f.said = append(f.instances, &demand{}), append(f.said, 1)
	}
	f.instances, f.said = f.instances[:n], f.said[:n]
}

func (f *fleet) sum() (sum float64) {
	for _, one := range f.said {
		sum += one
	}
	return sum
}

func (f *fleet) lag() (lag int64) {
	for _, p := range f.waits {
		lag += p.end - p.begun
	}
	return lag
}

// add adds to the backlog.
func (f *fleet) add(requests int64) {
	for p := range f.waits {
		f.waits[p].end += requests / int64(len(f.waits))
	}
}

// step lets the time between two looks pass.
func (f *fleet) step() {
	took := scalerLooks.Seconds()
	f.now = f.now.Add(scalerLooks)
	for p := range f.waits {
		f.waits[p].end += int64(f.load * took / float64(len(f.waits)))
	}
	most := f.capacity * took // for each
	if f.cms > 0 {
		most = min(most, f.cms*took/float64(len(f.instances)))
	}
	for i, d := range f.instances {
		w := workload{at: f.now, member: true, waits: map[int32]waiting{}, held: f.down}
		left := most
		if f.down {
			left = 0
		}
		for p := i; p < len(f.waits); p += len(f.instances) {
			w.owned++
			share := min(left/math.Ceil(float64(len(f.waits)-p)/float64(len(f.instances))),
				float64(f.waits[p].end-f.waits[p].begun))
			f.waits[p].begun += int64(share)
			left -= share
			w.waits[int32(p)] = f.waits[p]
		}
		w.calls = 1 - left/(f.capacity*took)
		limited := f.cms > 0 && left < 1
		w.held = w.held || limited && f.throttles
		if limited && f.slow {
			w.calls, w.fewer = 1, true
		}
		f.said[i] = d.next(w)
	}
}

// autoscaler is what Kubernetes does with the sum (HorizontalPodAutoscaler, AverageValue of 1): nothing within a tenth,
// more at once, fewer when nothing of the last ten minutes has wanted more.
type autoscaler struct {
	least, most int
	wanted      []int // every 15 s
	changes     []int // what it has set
}

func (a *autoscaler) scale(f *fleet) {
	now, want := len(f.instances), len(f.instances)
	if ratio := f.sum() / float64(now); math.Abs(ratio-1) > 0.1 {
		want = min(a.most, max(a.least, int(math.Ceil(f.sum()-1e-9))))
	}
	a.wanted = append(a.wanted, want)
	for _, before := range a.wanted[max(0, len(a.wanted)-40):] {
		want = max(want, min(now, before))
	}
	if want != now {
		f.scale(want)
		a.changes = append(a.changes, want)
	}
}

// turns is how often it went up after down, or down after up.
func (a *autoscaler) turns() (turns int) {
	for i := range a.changes {
		if i >= 2 && (a.changes[i] > a.changes[i-1]) != (a.changes[i-1] > a.changes[i-2]) {
			turns++
		}
	}
	return turns
}

// run lets time pass under an autoscaler.
func (a *autoscaler) run(f *fleet, d time.Duration) {
	for i := range int(d / scalerLooks) {
		f.step()
		if i%3 == 0 {
			a.scale(f)
		}
	}
}

// An outage of two hours changes nothing but the lag. Afterwards there are as many instances as the backlog is worth,
// and when it is done there are as few as before; nothing flaps meanwhile.
func TestFleetInAnOutage(t *testing.T) {
	f, a := newFleet(2, 24, 120, 100), &autoscaler{least: 2, most: 24}
	a.run(f, time.Hour)
	f.down = true
	a.run(f, 2*time.Hour)
	if len(a.changes) > 0 || f.sum() != 2 || f.lag() < 800_000 {
		t.Fatalf("in the outage: set to %v, the sum is %v, the lag %d", a.changes, f.sum(), f.lag())
	}
	f.down = false
	a.run(f, 3*time.Hour)
	if f.lag() > 0 || slices.Max(a.changes) < 12 || len(f.instances) != 2 {
		t.Errorf("after it: set to %v, the lag is %d", a.changes, f.lag())
	}
	if turns := a.turns(); turns != 1 {
		t.Errorf("it turned round %d times: %v", turns, a.changes)
	}
}

// More load than two instances can take is worth a third and no fourth.
func TestFleetUnderMoreLoad(t *testing.T) {
	f, a := newFleet(2, 24, 120, 100), &autoscaler{least: 2, most: 24}
	a.run(f, time.Hour)
	f.load = 270
	a.run(f, 6*time.Hour)
	if len(f.instances) < 3 || len(f.instances) > 5 || a.turns() > 1 {
		t.Errorf("set to %v for 270 requests a second, 100 for each", a.changes)
	}
	if wait := float64(f.lag()) / f.load; wait > 1.2*demandTarget.Seconds() {
		t.Errorf("a backlog of %.0f s stays", wait)
	}
}

// Where the CMS is what limits, no instance is added, however much waits: more would ask it for no more.
func TestFleetWhereTheCMSLimits(t *testing.T) {
	for name, of := range map[string]func(f *fleet){
		"429":    func(f *fleet) { f.throttles = true },
		"slower": func(f *fleet) { f.slow = true },
	} {
		f, a := newFleet(3, 24, 250, 100), &autoscaler{least: 3, most: 24}
		a.run(f, time.Hour)
		of(f)
		f.cms = 150
		a.run(f, 3*time.Hour)
		if len(a.changes) > 0 || f.sum() != 3 || f.lag() < 1_000_000 {
			t.Errorf("%s: set to %v, the sum is %v, the lag %d", name, a.changes, f.sum(), f.lag())
		}
	}
}
