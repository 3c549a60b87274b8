package cmsclient

import "time"

// doubt decides when calls that are refused for something of our own (see halts) stop all others. A call that is refused
// while calls sent since are answered is a trouble of its request, or of one server of many: it stops nothing. When no call
// sent since is answered for a while, it is a trouble of all, such as a key that has expired.
//
// What counts is when a call was sent: an answer to one from before a key expired may come in long after the first refusal.
// It has neither clock nor lock; all times must have a monotonic reading, so that a step of the clock changes no decision.
type doubt struct {
	answered time.Time     // when the latest call that the CMS has answered was sent; zero: it has answered none
	longest  time.Duration // that an answer took, forgotten by and by

	first time.Time // when the oldest refused call in doubt was sent; zero: none is
	due   time.Time // when these stop all calls, if no call sent since is answered by then
	calls int       // in doubt; a single one stops nothing: perhaps no other call was made since
	err   error     // the latest refusal in doubt
}

const (
	// minDoubt is how long a refusal is in doubt at least. It is enough for a request to be asked again, and for a question
	// about another contract before that.
	minDoubt = 500 * time.Millisecond
	maxDoubt = 10 * time.Second
	// doubtAnswers is for how many answers' time a refusal is in doubt, by the longest of late.
	doubtAnswers = 2
	// forgetting is how much of the difference to the longest a quicker answer takes off.
	forgetting = 64
)

// answer notes that the CMS has answered a call.
func (d *doubt) answer(sent, now time.Time) {
	took := now.Sub(sent)
	d.longest = max(took, d.longest-(d.longest-took)/forgetting)
	if sent.After(d.answered) {
		d.answered = sent
	}
	if !d.first.IsZero() && !sent.Before(d.first) {
		d.clear()
	}
}

// refuse notes that a call was refused, and reports whether that stops all calls at once: where the CMS has answered nothing
// yet and no other call is under way (alone), nothing speaks for us.
//
// Only the oldest refusal is kept in doubt. An answer that clears it may be to a call from before the key expired, but the
// next refusal is then in doubt anew, and the last of these was sent after the key expired: nothing clears that one.
func (d *doubt) refuse(sent, now time.Time, err error, alone bool) (stop bool) {
	if alone && d.answered.IsZero() {
		return true
	}
	if !sent.After(d.answered) {
		return false
	}
	if d.first.IsZero() || d.calls == 1 && now.Sub(d.due) > maxDoubt { // one of long ago is no evidence
		d.clear()
		d.first, d.due = sent, now.Add(min(max(minDoubt, doubtAnswers*d.longest), maxDoubt))
	}
	d.calls++
	d.err = err
	return d.over(now)
}

// over reports whether refusals have been in doubt for long enough to stop all calls.
func (d *doubt) over(now time.Time) bool { return d.calls > 1 && !now.Before(d.due) }

func (d *doubt) clear() { d.first, d.due, d.calls, d.err = time.Time{}, time.Time{}, 0, nil }
