package main

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A seed gives the same schedule each time. Faults of a lane do not overlap, keep to their bounds and to the run, and
// each of them comes before any of them comes again.
func TestPlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		names, _ := chooseFaults("all")
		chosen := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, len(names), rapid.ID[string]).Draw(t, "faults")
		workers, brokers := rapid.IntRange(1, 9).Draw(t, "workers"), rapid.SampledFrom([]int{1, 3}).Draw(t, "brokers")
		duration := rapid.SampledFrom([]time.Duration{time.Second, 50 * time.Second, 10 * time.Minute}).Draw(t, "duration")
		schedule := plan(seed, chosen, workers, brokers, duration)
		if !reflect.DeepEqual(schedule, plan(seed, chosen, workers, brokers, duration)) {
			t.Fatal("drawn again, it is another")
		}
		for lane, steps := range schedule {
			end, count := warmUp, map[string]int{}
			for _, s := range steps {
				if s.lane != lane || s.lasts < s.least || s.lasts > s.most || !slices.Contains(chosen, s.name) {
					t.Fatalf("%v in lane %d, of %v", s, lane, chosen)
				}
				if s.at != end+s.calm || s.calm < calms[lane][0] || s.calm > calms[lane][1] ||
					s.at+s.lasts+s.recovering > duration ||
					s.worker < 0 || s.worker >= workers || s.broker < 0 || s.broker >= brokers || s.degree < 1 || s.degree > 100 {
					t.Fatalf("%v after %v of %v, %d workers, %d brokers", s, end, duration, workers, brokers)
				}
				end = s.at + s.lasts + s.recovering
				count[s.name]++
				for _, f := range faults {
					if f.lane == lane && slices.Contains(chosen, f.name) && (count[s.name]-1)/s.often > count[f.name]/f.often {
						t.Fatalf("%s comes again before %s", s.name, f.name)
					}
				}
			}
		}
	})
}

// Whatever the seed, the long form has all faults, and kills at least six workers and two brokers; the short one has
// one of the worst of each lane.
func TestPlanHasWhatItMust(t *testing.T) {
	names, _ := chooseFaults("all")
	for seed := range uint64(5000) {
		count := map[string]int{}
		for _, steps := range plan(seed, names, 3, 3, longDuration) {
			for _, s := range steps {
				count[s.name]++
			}
		}
		if count["kill"] < 6 || count["broker"]+count[truncate] < 2 || len(count) != len(faults) {
			t.Errorf("seed %d: %v", seed, count)
		}
		clear(count)
		for _, steps := range plan(seed, names, 3, 1, shortDuration) {
			for _, s := range steps {
				count[s.name]++
			}
		}
		if count["broker"]+count[recreate]+count[truncate] == 0 || count["kill"] == 0 || count["outage"] == 0 {
			t.Errorf("seed %d, short: %v", seed, count)
		}
	}
}

// Half of the workers are static members; which of them depends on the seed alone.
func TestStaticMembers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed, workers := rapid.Uint64().Draw(t, "seed"), rapid.IntRange(1, 9).Draw(t, "workers")
		static := staticMembers(seed, workers)
		n := 0
		for _, is := range static {
			if is {
				n++
			}
		}
		if len(static) != workers || 2*n < workers-1 || 2*n > workers+1 ||
			!slices.Equal(static, staticMembers(seed, workers)) {
			t.Fatalf("%v of %d", static, workers)
		}
	})
}

func TestChooseFaults(t *testing.T) {
	if got, err := chooseFaults("kill,cut"); err != nil || !slices.Equal(got, []string{"kill", "cut"}) {
		t.Errorf("%v %v", got, err)
	}
	if got, err := chooseFaults("none"); err != nil || len(got) != 0 {
		t.Errorf("%v %v", got, err)
	}
	if _, err := chooseFaults("kill,flood"); err == nil {
		t.Error("flood is no fault")
	}
}
