package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// fault is a thing that can go wrong, and how it is injected.
type fault struct {
	name        string
	lane        int  // faults of one lane never overlap, those of different lanes may
	first       bool // one of these, which are the worst, is the first to come in its lane
	often       int  // how many times, before any other of its lane comes again
	least, most time.Duration
	recovering  time.Duration // until all is as before, as far as the plan can know
	aftermath   time.Duration // how much later it may still be the cause of a stall
	effect      string        // what such a stall is called
}

// The lanes.
const (
	ofWorkers = iota
	ofKafka
	ofCMS
	lanes
)

const (
	// sessionTimeout is the group's: the shortest that brokers take.
	sessionTimeout = 6 * time.Second
	paused         = sessionTimeout + 2*time.Second

	rejoining = 3 * time.Second  // until a group has quiesced again
	starting  = 10 * time.Second // until a broker serves again
	// until brokers notice that a transaction has timed out (10 s), for which they look every 10 s
	hanging     = 20 * time.Second
	breakerOpen = 4 * time.Second // cms.breaker.max-open-time, and the slow start behind it
)

// Faults of topics.
const (
	recreate = "recreate"
	expand   = "partitions"
	truncate = "truncate"
	reoutput = "outcomes"
)

// refuse is a fault of what is between us and the CMS.
const refuse = "refuse"

// faults are all there are, as --faults names them. How long one lasts is drawn between its
// bounds.
var faults = []fault{
	// kill -9, back after that time. In exactly-once, a dynamic member leaves a transaction open.
	{"kill", ofWorkers, true, 2, 0, 3 * time.Second, 0, hanging + rejoining, "what a killed worker held"},
	// SIGSTOP for longer than the session, SIGCONT
	{"pause", ofWorkers, false, 1, paused, 2 * sessionTimeout, 0, hanging + rejoining, "what a stopped worker held"},
	// SIGTERM, back that long after its end
	{"restart", ofWorkers, false, 1, 0, 2 * time.Second, time.Second, rejoining, "restart of a worker"},
	// every worker in turn
	{"rolling", ofWorkers, false, 1, 0, time.Second, 6 * time.Second, rejoining, "rolling restart"},
	// one more worker for that time
	{"join", ofWorkers, false, 1, 3 * time.Second, 8 * time.Second, time.Second, rejoining,
		"a worker joining and leaving"},
	// kill -9 of a broker, back after that time
	{"broker", ofKafka, true, 1, 0, 3 * time.Second, starting, rejoining, "broker killed"},
	// no space on a broker's disk for that time; then there is, and the broker is started again
	{"disk", ofKafka, false, 1, time.Second, 4 * time.Second, starting, rejoining, "disk full"},
	// connections to a broker broken, refused for that time
	{"cut", ofKafka, false, 1, 0, 3 * time.Second, 0, rejoining, "connections cut"},
	// every packet from and to a broker delayed
	{"slow", ofKafka, false, 1, 3 * time.Second, 6 * time.Second, 0, rejoining, "connections slow"},
	// the topic of requests deleted and, after that time, created again, twice: the second log is soon longer than the
	// first
	{recreate, ofKafka, true, 1, 0, 2 * time.Second, betweenLogs + aloneFor + time.Second, rejoining,
		"topic created again"},
	// more partitions for the topic of requests
	{expand, ofKafka, false, 1, 0, time.Second, time.Second, rejoining, "partitions added"},
	// the topic of results or that of dead letters deleted and created again, once no outcome is on its way
	{reoutput, ofKafka, false, 1, 0, time.Second, 3 * time.Second, rejoining, "outcomes' topic created again"},
	// kill -9 of a broker, which has lost the end of a partition of requests when it is back after that time
	{truncate, ofKafka, true, 1, 0, 2 * time.Second, starting, rejoining, "log truncated"},
	// slow answers, then 503 or resets on every call
	{"outage", ofCMS, true, 1, 3 * time.Second, 8 * time.Second, time.Second, breakerOpen, "CMS outage"},
	// answers after a second or two
	{"latency", ofCMS, false, 1, 2 * time.Second, 6 * time.Second, 0, breakerOpen, "CMS slow"},
	// 429 on some or all calls
	{"throttle", ofCMS, false, 1, 2 * time.Second, 6 * time.Second, 0, breakerOpen, "CMS refusing with 429"},
	// a gateway's 403 or 404 for one contract in a hundred
	{refuse, ofCMS, false, 1, 2 * time.Second, 6 * time.Second, 0, breakerOpen, "some contracts refused"},
}

// warmUp is the time before the first fault.
const warmUp = 4 * time.Second

// calms are the times between two faults, by lane, least and most. A cluster that has just come back gets some to be
// worked with.
var calms = [lanes][2]time.Duration{
	ofWorkers: {time.Second, 4 * time.Second}, ofKafka: {4 * time.Second, 10 * time.Second},
	ofCMS: {time.Second, 4 * time.Second},
}

// step is a fault at its time.
type step struct {
	fault
	at     time.Duration // since requests began to be published, if all goes as planned
	calm   time.Duration // since the fault before it in its lane was over, in any case
	lasts  time.Duration
	worker int // whom it hits, where it is one of ofWorkers
	broker int // likewise, ofKafka
	degree int // 1 to 100: how bad it is, where that can be
}

func (s step) String() string {
	text := fmt.Sprintf("%6.1fs %-8s %4.1fs", s.at.Seconds(), s.name, s.lasts.Seconds())
	switch s.lane {
	case ofWorkers:
		return fmt.Sprintf("%s  worker %d", text, s.worker+1)
	case ofKafka:
		return fmt.Sprintf("%s  broker %d, degree %d", text, s.broker+1, s.degree)
	default:
		return fmt.Sprintf("%s  degree %d", text, s.degree)
	}
}

// plan draws the schedule, lane by lane. The same seed gives the same one. Each lane goes through its faults again and
// again, one of the worst first and the others in a random order, so that none is left out for long.
func plan(seed uint64, names []string, workers, brokers int, duration time.Duration) [lanes][]step {
	var schedule [lanes][]step
	for lane := range lanes {
		random := rand.New(rand.NewPCG(seed, uint64(lane)))
		between := func(least, most time.Duration) time.Duration {
			return (least + time.Duration(random.Int64N(int64(most-least+1)))).Round(100 * time.Millisecond)
		}
		var ofLane, bag []fault
		for _, f := range faults {
			if f.lane == lane && slices.Contains(names, f.name) {
				ofLane = append(ofLane, slices.Repeat([]fault{f}, f.often)...)
			}
		}
		for at := warmUp; len(ofLane) > 0; {
			calm := between(calms[lane][0], calms[lane][1])
			at += calm
			if len(bag) == 0 {
				bag = slices.Clone(ofLane)
				random.Shuffle(len(bag), func(i, j int) { bag[i], bag[j] = bag[j], bag[i] })
				if worst := slices.IndexFunc(bag, func(f fault) bool { return f.first }); worst > 0 {
					bag[0], bag[worst] = bag[worst], bag[0]
				}
			}
			next := step{
				fault: bag[0], at: at, calm: calm, lasts: between(bag[0].least, bag[0].most),
				worker: random.IntN(workers), broker: random.IntN(brokers), degree: 1 + random.IntN(100),
			}
			if at += next.lasts + next.recovering; at > duration {
				break
			}
			bag = bag[1:]
			schedule[lane] = append(schedule[lane], next)
		}
	}
	return schedule
}

// staticMembers draws half of the workers: those that the group knows by an id of their own (group.instance.id).
func staticMembers(seed uint64, workers int) []bool {
	random := rand.New(rand.NewPCG(seed, lanes))
	static := make([]bool, workers)
	for _, worker := range random.Perm(workers)[:(workers+random.IntN(2))/2] {
		static[worker] = true
	}
	return static
}

// chooseFaults reads --faults.
func chooseFaults(list string) ([]string, error) {
	var all []string
	for _, f := range faults {
		all = append(all, f.name)
	}
	switch list {
	case "all":
		return all, nil
	case "none":
		return nil, nil
	}
	names := strings.Split(list, ",")
	for _, name := range names {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("--faults: %q is none of %s; give some of them, or all, or none", name,
				strings.Join(all, ", "))
		}
	}
	return names, nil
}
