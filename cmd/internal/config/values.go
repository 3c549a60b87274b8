package config

import (
	"errors"
	"fmt"
	"math"
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
	// check reports a value outside of its limits as "problem; fix".
	check() error
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
	valid func(string) error
}

func (v text) set(s string) error { *v.field = s; return nil }
func (v text) String() string     { return *v.field }
func (v text) kind() string       { return "string" }
func (v text) expects() string    { return "text" }

func (v text) check() error {
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

func (v choice) check() error {
	if !slices.Contains(v.words, *v.field) {
		return fmt.Errorf("%q is not known; write %s", *v.field, v.expects())
	}
	return nil
}

// list is a list of texts, separated by commas.
type list struct {
	field *[]string
	valid func([]string) error
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

func (v list) check() error {
	for _, item := range *v.field {
		if err := checkPrintable(item); err != nil {
			return err
		}
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
func (v boolean) check() error    { return nil }

// count is a whole number; unit names what is counted, for the reference.
type count struct {
	field    *int
	min, max int
	unit     string
}

func (v count) set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil {
		return errSyntax
	}
	*v.field = n
	return nil
}

func (v count) String() string  { return strconv.Itoa(*v.field) }
func (v count) kind() string    { return "int" }
func (v count) expects() string { return "a whole number" }
func (v count) check() error    { return checkRange(*v.field, v.min, v.max, strconv.Itoa) }

// ratio is a share of the whole: above 0, at most 1.
type ratio struct{ field *float64 }

func (v ratio) set(s string) error {
	x, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		return errSyntax
	}
	*v.field = x
	return nil
}

func (v ratio) String() string  { return strconv.FormatFloat(*v.field, 'g', -1, 64) }
func (v ratio) kind() string    { return "ratio" }
func (v ratio) expects() string { return "a number above 0 and at most 1" }

func (v ratio) check() error {
	if x := *v.field; !(x > 0 && x <= 1) { // written so that NaN fails
		return fmt.Errorf("%s is out of range; write %s", v.String(), v.expects())
	}
	return nil
}

// duration is a time.Duration.
type duration struct {
	field    *time.Duration
	min, max time.Duration
}

func (v duration) set(s string) error {
	d, err := time.ParseDuration(s)
	// "0" is the one number that ParseDuration takes without a unit.
	if err != nil || s == "0" {
		return errSyntax
	}
	*v.field = d
	return nil
}

func (v duration) String() string  { return formatDuration(*v.field) }
func (v duration) kind() string    { return "duration" }
func (v duration) expects() string { return "a number with a unit (ms, s, m or h)" }
func (v duration) check() error    { return checkRange(*v.field, v.min, v.max, formatDuration) }

// formatDuration leaves out the zeros that Duration.String adds: 1m, not 1m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// size is a number of bytes.
type size struct {
	field    *int64
	min, max int64
}

// The binary units (IEC 80000-13), largest first. KB and MB are refused: people mean two different things by them.
var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

func (v size) set(s string) error {
	unit := int64(1)
	for _, u := range sizeUnits {
		if number, ok := strings.CutSuffix(s, u.name); ok {
			s, unit = number, u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > math.MaxInt64/unit || n < 0 {
		return errSyntax
	}
	*v.field = n * unit
	return nil
}

func (v size) String() string  { return formatSize(*v.field) }
func (v size) kind() string    { return "size" }
func (v size) expects() string { return "a number of bytes, or one with KiB, MiB or GiB" }
func (v size) check() error    { return checkRange(*v.field, v.min, v.max, formatSize) }

func formatSize(n int64) string {
	for _, u := range sizeUnits[:len(sizeUnits)-1] {
		if n != 0 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

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

func (v address) check() error {
	if *v.field == "" {
		return nil
	}
	if _, _, ok := splitHostPort(*v.field); !ok {
		return fmt.Errorf(`%q is not host:port; write for example 127.0.0.1:8080, or "off"`, *v.field)
	}
	return nil
}

// password is a secret. Line ends behind it are dropped: files and Kubernetes secrets made with echo have one.
type password struct{ field *Secret }

func (v password) set(s string) error { *v.field = NewSecret(strings.TrimRight(s, "\r\n")); return nil }
func (v password) String() string     { return v.field.String() }
func (v password) kind() string       { return "secret" }
func (v password) expects() string    { return "a secret" }

func (v password) check() error { return checkSecret(*v.field) }

// checkRange reports a value outside of its limits, both of which are allowed.
func checkRange[T int | int64 | time.Duration](v, lowest, highest T, show func(T) string) error {
	switch {
	case v < lowest:
		return fmt.Errorf("%s is too little; set at least %s", show(v), show(lowest))
	case v > highest:
		return fmt.Errorf("%s is too much; set at most %s", show(v), show(highest))
	}
	return nil
}
