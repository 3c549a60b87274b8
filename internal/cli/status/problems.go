package status

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/processor"
	"github.com/balanceq/balanceq/telemetry"
)

// rank orders problems: the lower, the worse.
type rank int

// What stops most comes first.
const (
	rankKafka    rank = iota // Kafka cannot be asked
	rankNoMember             // no member of the group, or none that holds a partition
	rankAway                 // an instance does not answer, or is not ready
	rankOperator             // it waits for an operator
	rankFailing              // it waits for Kafka
	rankCMS                  // it waits for the CMS
	rankPart                 // a partition waits
	rankLag
	rankUnknown // the group and the instances do not agree
	rankKeys
)

// keyWarning is how long before its end a key is worth attention, as the service itself warns.
const keyWarning = 30 * 24 * time.Hour

// rebalancing says that the group is sharing out its partitions at the moment, so that who holds what is not known.
func (g *Group) rebalancing() bool { return g.State != "Stable" && len(g.Members) > 0 }

// conclude adds what is wrong, what is worth knowing, and the summary. named says that the instances were named, so
// that there should be no others; maxLag is how old a request may be.
func (d *Document) conclude(named bool, maxLag time.Duration) {
	d.Problems, d.Notes = append([]Problem{}, d.Problems...), append([]string{}, d.Notes...)
	d.groupProblems(named)
	for i := range d.Instances {
		d.instanceProblems(&d.Instances[i], named)
	}
	if d.LagSeconds != nil && *d.LagSeconds > maxLag.Seconds() {
		d.problem(rankLag, "lag", fmt.Sprintf("%s wait, the oldest for %s", term.Count(d.Lag, "request"),
			age(*d.LagSeconds)))
	}
	d.noteVersions()
	slices.SortStableFunc(d.Problems, func(a, b Problem) int { return cmp.Compare(a.rank, b.rank) })
	d.OK, d.Summary = len(d.Problems) == 0, d.well()
	if !d.OK {
		d.Summary = "needs attention: " + d.Problems[0].text()
		if more := len(d.Problems) - 1; more > 0 {
			d.Summary += fmt.Sprintf(" (and %d more)", more)
		}
	}
}

func (p Problem) text() string { return p.About + ": " + p.What }

func (d *Document) problem(r rank, about, what string) {
	d.Problems = append(d.Problems, Problem{About: about, What: what, rank: r})
}

// well is the summary where nothing is wrong.
func (d *Document) well() string {
	answering := 0
	for i := range d.Instances {
		if d.Instances[i].Status != nil {
			answering++
		}
	}
	parts := []string{term.Count(int64(answering), "instance")}
	if answering == 0 && d.Group != nil {
		parts[0] = "by what Kafka tells"
	}
	if d.Group != nil {
		parts = append(parts, term.Count(int64(len(d.Group.Members)), "member"),
			term.Count(int64(len(d.Group.Partitions)), "partition"))
	}
	parts = append(parts, fmt.Sprintf("lag %d", d.Lag))
	if answering > 0 {
		parts = append(parts, fmt.Sprintf("%d in flight", d.InFlight))
	}
	return "all is well: " + strings.Join(parts, ", ")
}

func (d *Document) groupProblems(named bool) {
	g := d.Group
	if g == nil {
		return
	}
	if len(g.Members) == 0 {
		d.problem(rankNoMember, "group "+g.Name, "it has no member: requests stay without an answer")
	} else if g.rebalancing() {
		d.Notes = append(d.Notes, fmt.Sprintf(
			"the group is sharing out its partitions (%s): who holds which is not known yet", g.State))
	}
	var alone, unknown []int32
	for _, p := range g.Partitions {
		if p.Member == "" && len(g.Members) > 0 && !g.rebalancing() {
			alone = append(alone, p.Partition)
		}
		if p.Problem != "" {
			unknown = append(unknown, p.Partition)
		}
	}
	if len(alone) > 0 {
		d.problem(rankNoMember, "partition "+ranges(alone), "no member holds it")
	}
	for _, p := range g.Partitions {
		if p.Problem != "" {
			d.problem(rankKafka, "partition "+ranges(unknown), p.Problem)
			break
		}
	}
	for _, m := range g.Members {
		if m.Instance != "" {
			continue
		}
		text := fmt.Sprintf("client %s at %s, partition %s", m.Client, m.Host, ranges(m.Partitions))
		if named {
			d.problem(rankUnknown, "member "+m.ID, "none of the instances that answer is it: "+text)
		} else {
			d.Notes = append(d.Notes, "a member that was not asked: "+text)
		}
	}
}

func (d *Document) instanceProblems(i *Instance, named bool) {
	s := i.Status
	if s == nil {
		if named {
			d.problem(rankAway, i.URL, strings.TrimPrefix(i.Error, i.URL+" "))
		} else {
			d.Notes = append(d.Notes, i.Error+"; name the instances with --service")
		}
		return
	}
	about := s.Instance
	if d.Group != nil && !i.Member && s.Health.Ready {
		why := "it is no member of the group as Kafka sees it"
		if s.Group != d.Group.Name || s.Topic != d.Group.Topic {
			why = fmt.Sprintf("it is of group %s and topic %s", s.Group, s.Topic)
		}
		d.problem(rankUnknown, about, why)
	}
	for _, p := range healthProblems(s) {
		d.problem(p.rank, about, p.What)
	}
	for _, k := range s.Keys {
		switch {
		case k.Failing != "":
			d.problem(rankKeys, about, "key "+k.Name+": "+k.Failing)
		case k.Expires != nil && k.Expires.Sub(d.At) < keyWarning:
			d.problem(rankKeys, about, fmt.Sprintf("key %s: expires %s", k.Name, k.Expires.UTC().Format(time.DateOnly)))
		}
	}
}

// healthProblems are what an instance says of itself, each cause once.
func healthProblems(s *telemetry.Status) (all []Problem) {
	h := &s.Health
	add := func(r rank, what string) {
		if what != "" {
			all = append(all, Problem{What: what, rank: r})
		}
	}
	if !h.Ready {
		add(rankAway, "not ready: "+h.Why)
	}
	add(rankOperator, prefixed("halted: ", h.Halted))
	add(rankOperator, prefixed("holds dead letters: ", h.Paused))
	add(rankFailing, h.KafkaFailing)
	if h.Breaker != cmsclient.BreakerClosed {
		add(rankCMS, strings.TrimSuffix("breaker "+h.Breaker.String()+": "+h.Failing.String(), ": "))
	}
	add(rankPart, prefixed("not started: ", h.NotStarted))
	add(rankPart, h.Corrupt)
	add(rankPart, h.Transaction)
	switch h.Waiting {
	case "", cmsclient.CauseBreaker, cmsclient.CauseHalted, processor.CauseBudget, telemetry.CauseKafka,
		telemetry.CauseStart, telemetry.CauseRebalance: // said above
	default:
		what := "waits: " + h.Waiting
		if h.CoolDownUntil != nil {
			what += ", until " + h.CoolDownUntil.UTC().Format(time.TimeOnly)
		}
		add(rankCMS, what)
	}
	return all
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

// noteVersions names versions and instances that differ.
func (d *Document) noteVersions() {
	by := map[string][]string{}
	names := map[string]bool{}
	for i := range d.Instances {
		s := d.Instances[i].Status
		if s == nil {
			continue
		}
		if names[s.Instance] {
			d.Notes = append(d.Notes, "two instances have the name "+s.Instance)
		}
		names[s.Instance] = true
		by[s.Version] = append(by[s.Version], s.Instance)
	}
	if len(by) < 2 {
		return
	}
	var parts []string
	for version, of := range by {
		slices.Sort(of)
		parts = append(parts, version+" ("+strings.Join(of, ", ")+")")
	}
	slices.Sort(parts)
	d.Notes = append(d.Notes, "versions differ: "+strings.Join(parts, ", "))
}

// ranges is like "0-3, 7"; "none" for none. ids are in ascending order.
func ranges(ids []int32) string {
	var parts []string
	for i := 0; i < len(ids); {
		j := i
		for j+1 < len(ids) && ids[j+1] == ids[j]+1 {
			j++
		}
		part := strconv.Itoa(int(ids[i]))
		if j > i {
			part += "-" + strconv.Itoa(int(ids[j]))
		}
		parts = append(parts, part)
		i = j + 1
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// age is a number of seconds as a person reads it.
func age(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
}
