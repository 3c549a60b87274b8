package config

import (
	"math"
	"strconv"
	"strings"
	"time"
)

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
func (v count) check() *fault   { return checkRange(*v.field, v.min, v.max, strconv.Itoa) }

// ratio is what there may be of one thing for each of another: above 0, at most most (0: the library has the limit).
type ratio struct {
	field *float64
	most  float64
}

func (v ratio) set(s string) error { return setDecimal(v.field, s) }
func (v ratio) String() string     { return formatDecimal(*v.field) }
func (v ratio) kind() string       { return "ratio" }

func (v ratio) expects() string {
	if v.most == 0 {
		return "a number"
	}
	return "a number above 0 and at most " + formatDecimal(v.most)
}

func (v ratio) check() *fault {
	if x := *v.field; v.most > 0 && !(x > 0 && x <= v.most) { // written so that NaN fails
		return &fault{v.String() + " is out of range", "write " + v.expects()}
	}
	return nil
}

// share is a part of the whole: 0 to 1.
type share struct{ field *float64 }

func (v share) set(s string) error { return setDecimal(v.field, s) }
func (v share) String() string     { return formatDecimal(*v.field) }
func (v share) kind() string       { return "ratio" }
func (v share) expects() string    { return "a number from 0 to 1" }

func (v share) check() *fault {
	if x := *v.field; !(x >= 0 && x <= 1) { // written so that NaN fails
		return &fault{v.String() + " is out of range", "write " + v.expects()}
	}
	return nil
}

// rate is how much there may be of something in some time; unit names both, for the reference.
type rate struct {
	field *float64
	unit  string
}

func (v rate) set(s string) error { return setDecimal(v.field, s) }
func (v rate) String() string     { return formatDecimal(*v.field) }
func (v rate) kind() string       { return "number" }
func (v rate) expects() string    { return "a number, 0 or more" }
func (v rate) check() *fault      { return nil } // the library's

func setDecimal(field *float64, s string) error {
	x, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		return errSyntax
	}
	*field = x
	return nil
}

func formatDecimal(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

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
func (v duration) check() *fault   { return checkRange(*v.field, v.min, v.max, formatDuration) }

// date is a day in UTC; the field is its first instant, and the zero time if there is none.
type date struct{ field *time.Time }

func (v date) set(s string) error {
	if s == "" {
		*v.field = time.Time{}
		return nil
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return errSyntax
	}
	*v.field = t
	return nil
}

func (v date) String() string {
	if v.field.IsZero() {
		return ""
	}
	return v.field.UTC().Format(time.DateOnly)
}

func (v date) kind() string    { return "date" }
func (v date) expects() string { return "a date (YYYY-MM-DD)" }
func (v date) check() *fault   { return nil }

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
func (v size) check() *fault   { return checkRange(*v.field, v.min, v.max, formatSize) }

func formatSize(n int64) string {
	for _, u := range sizeUnits[:len(sizeUnits)-1] {
		if n != 0 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// checkRange reports a value outside of its limits, both of which are allowed. Without any (both are zero), the library
// that has the setting checks it.
func checkRange[T int | int64 | time.Duration](v, lowest, highest T, show func(T) string) *fault {
	switch {
	case lowest == highest:
	case v < lowest:
		return &fault{show(v) + " is too little", "set at least " + show(lowest)}
	case v > highest:
		return &fault{show(v) + " is too much", "set at most " + show(highest)}
	}
	return nil
}
