package config

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

// value is one key's field of a Config: how it is read from text, written as text and checked.
type value interface {
	// set parses text, which comes from a flag, a variable or the file alike. On an error the field is unchanged.
	set(text string) error
	// String returns the value in the syntax that set accepts; a secret is redacted.
	String() string
	// check reports a value outside of its limits; nil if there is nothing to report.
	check() *fault
	// kind is the type's name in help and reference: "duration".
	kind() string
	// expects completes "write …" when the value has the wrong type: "a number with a unit".
	expects() string
}

// errSyntax says that a text is not of the type its key wants. Messages are built from value.expects and the key.
var errSyntax = errors.New("wrong type")

// text is any string; valid is nil if everything printable will do.
type text struct {
	field *string
	valid func(string) *fault
}

func (v text) set(s string) error { *v.field = s; return nil }
func (v text) String() string     { return *v.field }
func (v text) kind() string       { return "string" }
func (v text) expects() string    { return "text" }

func (v text) check() *fault {
	if err := checkPrintable(*v.field); err != nil || v.valid == nil {
		return err
	}
	return v.valid(*v.field)
}

// choice is one of a few words.
type choice struct {
	field *string
	words []string
}

func (v choice) set(s string) error { *v.field = s; return nil }
func (v choice) String() string     { return *v.field }
func (v choice) kind() string       { return strings.Join(v.words, "|") }
func (v choice) expects() string    { return "one of " + strings.Join(v.words, ", ") }

func (v choice) check() *fault {
	if !slices.Contains(v.words, *v.field) {
		return &fault{strconv.Quote(*v.field) + " is not known", "write " + v.expects()}
	}
	return nil
}

// start is where a group begins.
type start struct{ field *string }

func (v start) set(s string) error { *v.field = s; return nil }
func (v start) String() string     { return *v.field }
func (v start) kind() string       { return "earliest|latest|time|age" }

func (v start) expects() string {
	return "earliest, latest, a time such as 2026-01-31T12:00:00Z, or an age such as 6h"
}

func (v start) check() *fault {
	if s := *v.field; s != StartEarliest && s != StartLatest {
		if _, err := ParseStart(s, time.Now()); err != nil {
			return &fault{strconv.Quote(s) + " is not known", "write " + v.expects()}
		}
	}
	return nil
}

// ParseStart reads a time in RFC 3339 or an age, which counts back from now. Neither may lie before 1970.
func ParseStart(text string, now time.Time) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if age, no := time.ParseDuration(text); no == nil && age > 0 {
		t, err = now.Add(-age), nil
	}
	if err == nil && t.Unix() < 0 {
		err = errSyntax
	}
	return t, err
}

// list is a list of texts, separated by commas; valid is nil if any will do.
type list struct {
	field *[]string
	valid func([]string) *fault
}

func (v list) set(s string) error {
	var items []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	*v.field = items
	return nil
}

func (v list) String() string  { return strings.Join(*v.field, ",") }
func (v list) kind() string    { return "list" }
func (v list) expects() string { return "a list" }

func (v list) check() *fault {
	for _, item := range *v.field {
		if err := checkPrintable(item); err != nil {
			return err
		}
	}
	if v.valid == nil {
		return nil
	}
	return v.valid(*v.field)
}

// boolean is true or false, and nothing that merely looks like it.
type boolean struct{ field *bool }

func (v boolean) set(s string) error {
	if s != "true" && s != "false" {
		return errSyntax
	}
	*v.field = s == "true"
	return nil
}

func (v boolean) String() string  { return strconv.FormatBool(*v.field) }
func (v boolean) kind() string    { return "bool" }
func (v boolean) expects() string { return "true or false" }
func (v boolean) check() *fault   { return nil }

// address is where to listen; empty and "off" both mean nowhere.
type address struct{ field *string }

func (v address) set(s string) error {
	if s == "off" {
		s = ""
	}
	*v.field = s
	return nil
}

func (v address) String() string {
	if *v.field == "" {
		return "off"
	}
	return *v.field
}

func (v address) kind() string    { return "address" }
func (v address) expects() string { return `host:port or "off"` }

func (v address) check() *fault {
	if *v.field == "" {
		return nil
	}
	if _, _, ok := splitHostPort(*v.field); !ok {
		return &fault{strconv.Quote(*v.field) + " is not host:port", `write for example 127.0.0.1:8080, or "off"`}
	}
	return nil
}

// password is a secret. Line ends behind it are dropped: files and Kubernetes secrets made with echo have one.
type password struct{ field *Secret }

func (v password) set(s string) error { *v.field = NewSecret(strings.TrimRight(s, "\r\n")); return nil }
func (v password) String() string     { return v.field.String() }
func (v password) kind() string       { return "secret" }
func (v password) expects() string    { return "a secret" }

func (v password) check() *fault { return checkSecret(*v.field) }
