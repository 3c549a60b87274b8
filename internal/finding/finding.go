// Package finding is what all checks find: those of the configuration, before the start, by doctor. It comes in
// parts from where it is found to where it is shown, so that no sentence is ever taken apart.
package finding

import "strings"

// Severity says how bad a finding is.
type Severity int

// The severities, from the least on.
const (
	OK   Severity = iota // nothing is wrong: What says what was seen
	Warn                 // the program works, but a person should look
	Fail                 // it would not work
)

// Finding is something that a check found, and what to do about it.
type Finding struct {
	Key      string // of the configuration, that it is about; "": about none alone
	What     string // goes on after the key, "is not set"; without one, a sentence of its own
	Fix      string // what to do; "": nothing
	Severity Severity
	From     []string // what set the key: flags, variables, file:line
	Passing  bool     // it may be over by itself in a while
}

// Text is what was found, without what to do about it: "cms.url: is not set".
func (f Finding) Text() string {
	if f.Key == "" {
		return f.What
	}
	return f.Key + ": " + f.What
}

// Remedy is what to do, with what set the key: "set it to … (balanceq.yaml:3)".
func (f Finding) Remedy() string {
	if len(f.From) == 0 {
		return f.Fix
	}
	return strings.TrimPrefix(f.Fix+" ("+strings.Join(f.From, ", ")+")", " ")
}

// String is all of it in a line: "cms.url: is not set; set it to … (balanceq.yaml:3)".
func (f Finding) String() string {
	switch {
	case f.Fix != "":
		return f.Text() + "; " + f.Remedy()
	case len(f.From) > 0:
		return f.Text() + " " + f.Remedy()
	}
	return f.Text()
}

// Error is findings as an error, a line each.
type Error struct {
	Findings []Finding // at least one
	Err      error     // what they come from, where that is another error; may be nil
}

// Error implements error.
func (e *Error) Error() string {
	lines := make([]string, len(e.Findings))
	for i, f := range e.Findings {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns what the findings come from.
func (e *Error) Unwrap() error { return e.Err }

// Join makes an error of findings; nil if there are none.
func Join(findings ...Finding) error {
	if len(findings) == 0 {
		return nil
	}
	return &Error{Findings: findings}
}

// Failed is an error that failed the check of a key, "" for none, with what to do about it.
func Failed(key string, err error, fix string) error {
	return &Error{Findings: []Finding{{Key: key, What: err.Error(), Fix: fix, Severity: Fail}}, Err: err}
}

// Of returns the findings that an error is made of, by itself or joined; one without a fix of an error that is none.
func Of(err error) []Finding {
	switch e := err.(type) { //nolint:errorlint // what the error itself is: what stands around findings is not left out
	case nil:
		return nil
	case *Error:
		return e.Findings
	case interface{ Unwrap() []error }:
		var all []Finding
		for _, part := range e.Unwrap() {
			all = append(all, Of(part)...)
		}
		return all
	}
	return []Finding{{What: err.Error(), Severity: Fail}}
}
