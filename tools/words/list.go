package main

// foreign are names of others in which a retired word stands; they are left as they are.
var foreign = []string{
	"termination-inquiry", // an API of Mastercard, in a vector that it published
}

// retired are words that this code used in a sense of its own, each with what the field calls it. A word is given in
// the forms in which it may not come, a phrase with a space between its words: in identifiers, comments, texts and file
// names alike, in any case (mayBury, may_bury, "may bury").
var retired = []struct {
	forms   []string
	instead string
}{
	{[]string{"inquiry", "inquiries"}, "in-flight request"},
	{[]string{"bury", "buries", "buried", "burying", "burial", "burials"}, "dead-letter"},
	{[]string{"vouch", "vouches", "vouched", "vouching"}, "probe, outage detector"},
	{[]string{"unfit"}, "rejected, oversized, invalid"},
	{[]string{"settle", "settles", "settled", "settling", "settlement"}, "complete, acknowledge, apply"},
	{[]string{"judge", "judges", "judged", "judging", "judgement", "judgment"}, "classify, evaluate, check"},
	{[]string{"vacant"}, "unassigned, free"},
	{[]string{"surplus"}, "too many, to be revoked"},
	{[]string{"seat", "seats"}, "slot, member"},
	{[]string{"claimed", "dealt"}, "owned, assigned"},
	{[]string{"crowded", "roomy"}, "metadata full, metadata freed"},
	{[]string{"take over", "takes over", "took over", "taken over", "taking over", "takeover", "takeovers"},
		"fence, init"},
	{[]string{"former life", "former lives"}, "previous incarnation"},
	{[]string{"glance", "glances", "glanced"}, "probe, check"},
	{[]string{"patience", "patient", "impatient"}, "timeout, budget"},
	{[]string{"suspicion", "suspicions"}, "stall check"},
	{[]string{"indulgent", "indulgence"}, "grace"},
	{[]string{"loud"}, "last exceeded; or what it is"},
	{[]string{"witness", "witnesses"}, "collector, checker"},
	{[]string{"testimony", "testimonies"}, "history"},
	{[]string{"deed", "deeds"}, "faults"},
	{[]string{"trouble", "troubles"}, "fault, failure"},
	{[]string{"camera"}, "recorder"},
	{[]string{"crew"}, "processes"},
	{[]string{"board", "books"}, "view, ledger"},
	{[]string{"kindness"}, "rate limiting and back-pressure"},
	{[]string{"mend", "mends", "mended", "mending"}, "fix, recover"},
	{[]string{"anew"}, "again"},
	{[]string{"whoever", "nobody"}, "who it is: the new owner, no member"},
	{[]string{"ours", "as us"}, "this instance's, balanceq's"},
	{[]string{"evidence"}, "outage detector, probe"},
}
