package config

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/agnivade/levenshtein"
)

// problem is one thing that is wrong. It prints as "key: problem; fix (where the value came from)".
type problem struct {
	keys    []string // the first one names the line; the others share the problem
	text    string   // "problem; fix"
	origins []string // flags, variables, file:line
}

// Error implements error.
func (p problem) Error() string {
	s := p.text
	if len(p.keys) > 0 {
		s = p.keys[0] + ": " + s
	}
	if len(p.origins) > 0 {
		s += " (" + strings.Join(p.origins, ", ") + ")"
	}
	return s
}

// join makes one error of all problems, a line each; nil if there are none.
func join(problems []problem) error {
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = p
	}
	return errors.Join(errs...)
}

// wrongType describes a text that is not of the key's type.
func wrongType(k *key, v value, given string) string {
	if given == "" {
		return "is empty; write " + v.expects() + ", for example " + k.example
	}
	return strconv.Quote(shorten(given)) + " is not " + v.expects() + "; write for example " + k.example
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

// suggestion completes "unknown key; …".
func suggestion(given string, known []string) string {
	if name := nearest(given, known); name != "" {
		return "did you mean " + name + "?"
	}
	return "`config print` shows them all"
}

// nearest returns the known name that given was most likely meant to be, or "" if none is similar.
func nearest(given string, known []string) string {
	// The cost of a comparison grows with the length, and no name is this long.
	if len(given) > 100 {
		return ""
	}
	// Case and the choice between dot, dash and underscore are what people mix up first, and they cost nothing here.
	fold := func(s string) string { return strings.ToLower(strings.NewReplacer("-", ".", "_", ".").Replace(s)) }
	folded := fold(given)

	// A name without its section, or under a wrong one, is many letters away from the right one: "brokers", "cms.group".
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
