package config

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/agnivade/levenshtein"

	"github.com/balanceq/balanceq/internal/finding"
)

// fault is what is wrong with a value, and what to do about it.
type fault struct{ what, fix string }

// problem is a finding and the further keys that share it: changing one of them helps too.
type problem struct {
	finding.Finding
	with []string
}

// wrong is what nothing can work with. The first key names it.
func wrong(what, fix string, keys ...string) problem {
	return problem{finding.Finding{Key: keys[0], What: what, Fix: fix, Severity: finding.Fail}, keys[1:]}
}

// odd is what works and is probably not meant.
func odd(what, fix string, keys ...string) problem {
	p := wrong(what, fix, keys...)
	p.Severity = finding.Warn
	return p
}

// about reports whether one of the problem's keys is among these.
func (p problem) about(keys map[string]bool) bool {
	return keys[p.Key] || slices.ContainsFunc(p.with, func(name string) bool { return keys[name] })
}

// findings leaves the keys out that only this package needs to know.
func findings(problems []problem) []finding.Finding {
	var all []finding.Finding
	for _, p := range problems {
		all = append(all, p.Finding)
	}
	return all
}

// wrongType describes a text that is not of the key's type.
func wrongType(k *key, v value, given string) fault {
	if given == "" {
		return fault{"is empty", "write " + v.expects() + ", for example " + k.example}
	}
	return fault{strconv.Quote(shorten(given)) + " is not " + v.expects(), "write for example " + k.example}
}

// visible makes a name that somebody mistyped fit for a message of one line.
func visible(name string) string {
	odd := func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) }
	if name = shorten(name); name == "" || strings.ContainsFunc(name, odd) {
		return strconv.Quote(name)
	}
	return name
}

// shorten cuts what would fill the screen.
func shorten(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}

// suggestion is the fix of an unknown name.
func suggestion(given string, known []string) string {
	if name := Nearest(given, known); name != "" {
		return "did you mean " + name + "?"
	}
	return "`config print` shows them all"
}

// Nearest returns the known name that given was most likely meant to be, or "" if none is similar.
func Nearest(given string, known []string) string {
	// The cost of a comparison grows with the length, and no name is this long.
	if len(given) > 100 {
		return ""
	}
	// Case and the choice between dot, dash and underscore are what people mix up first, and they cost nothing here.
	fold := func(s string) string { return strings.ToLower(strings.NewReplacer("-", ".", "_", ".").Replace(s)) }
	folded := fold(given)

	// A name without its section, or under a wrong one, is many letters away from the right one: "brokers".
	leaf := folded[strings.LastIndex(folded, ".")+1:]
	sameLeaf := slices.DeleteFunc(slices.Clone(known), func(name string) bool {
		return !strings.HasSuffix(fold(name), "."+leaf)
	})

	best, distance := "", len(folded)/2+1
	for _, name := range known {
		if d := levenshtein.ComputeDistance(folded, fold(name)); d < distance {
			best, distance = name, d
		}
	}
	if len(sameLeaf) == 1 && distance > 2 {
		return sameLeaf[0]
	}
	return best
}
