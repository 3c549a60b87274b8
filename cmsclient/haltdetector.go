package cmsclient

import "time"

// haltDetector decides when calls that are refused for something that no request can be blamed for (see halts) stop all
// others. A call that is refused while calls sent since are answered is a matter of its request, or of one server of
// many: it stops nothing. When no call sent since is answered for a while, it is a matter of all, such as a key that
// has expired.
//
// What counts is when a call was sent: an answer to one from before a key expired may come in long after the first
// refusal. It has neither clock nor lock; all times must have a monotonic reading, so that a step of the clock changes
// no decision.
type haltDetector struct {
	lastAnswered time.Time     // when the latest call that the CMS has answered was sent; zero: it has answered none
	longest      time.Duration // that an answer took, forgotten by and by

	firstSent time.Time // when the oldest refused call that nothing has refuted was sent; zero: there is none
	due       time.Time // when these stop all calls, if no call sent since is answered by then
	refusals  int       // that nothing has refuted; one alone stops nothing: perhaps no other call was made since
	err       error     // the latest of them
}

const (
	// minConfirm is how long refusals wait for an answer that refutes them, at least. It is enough for a request to be
	// asked again, and for a probe of another contract before that.
	minConfirm = 500 * time.Millisecond
	maxConfirm = 10 * time.Second
	// confirmAnswers is for how many answers' time they wait, by the longest of late.
	confirmAnswers = 2
	// forgetting is how much of the difference to the longest a quicker answer takes off.
	forgetting = 64
)

// answered notes that the CMS has answered a call.
func (d *haltDetector) answered(sent, now time.Time) {
	took := now.Sub(sent)
	d.longest = max(took, d.longest-(d.longest-took)/forgetting)
	if sent.After(d.lastAnswered) {
		d.lastAnswered = sent
	}
	if !d.firstSent.IsZero() && !sent.Before(d.firstSent) {
		d.clear()
	}
}

// refused notes that a call was refused, and reports whether that stops all calls at once: where the CMS has answered
// nothing yet and no other call is under way (alone), there is nothing to refute it.
//
// Only the oldest refusal counts. The answer that clears it may be to a call from before the key expired, but then the
// next refusal begins again, and the last of these was sent after the key expired: nothing clears that one.
func (d *haltDetector) refused(sent, now time.Time, err error, alone bool) (stop bool) {
	if alone && d.lastAnswered.IsZero() {
		return true
	}
	if !sent.After(d.lastAnswered) {
		return false
	}
	if d.firstSent.IsZero() || d.refusals == 1 && now.Sub(d.due) > maxConfirm { // one of long ago tells nothing of now
		d.clear()
		d.firstSent, d.due = sent, now.Add(min(max(minConfirm, confirmAnswers*d.longest), maxConfirm))
	}
	d.refusals++
	d.err = err
	return d.confirmed(now)
}

// confirmed reports whether refusals have gone without an answer for long enough to stop all calls.
func (d *haltDetector) confirmed(now time.Time) bool { return d.refusals > 1 && !now.Before(d.due) }

func (d *haltDetector) clear() {
	d.firstSent, d.due, d.refusals, d.err = time.Time{}, time.Time{}, 0, nil
}
