package main

import (
	"regexp"
	"strings"
)

// hit is a retired word in a text; line counts from 1.
type hit struct {
	line          int
	form, instead string
}

// word is a part of an identifier or of a sentence: mayBury is two, and so is HTTPServer, by the split of its start.
var word = regexp.MustCompile(`[A-Z]+[a-z]*|[a-z]+`)

// split returns where the words of text begin and end.
func split(text string) (words [][]int) {
	for _, w := range word.FindAllStringIndex(text, -1) {
		capitals := w[0]
		for capitals < w[1] && text[capitals] <= 'Z' {
			capitals++
		}
		if last := capitals - 1; capitals < w[1] && last > w[0] {
			words = append(words, []int{w[0], last})
			w[0] = last
		}
		words = append(words, w)
	}
	return words
}

// joins is what may stand between the words of a phrase: blanks, and what begins a line of a comment.
var joins = regexp.MustCompile(`^(?:[\s_-]|//|#|\*|>)*$`)

// forms are the retired words and phrases by their first word.
var forms = func() map[string][]hit {
	all := map[string][]hit{}
	for _, r := range retired {
		for _, form := range r.forms {
			first, _, _ := strings.Cut(form, " ")
			all[first] = append(all[first], hit{form: form, instead: r.instead})
		}
	}
	return all
}()

// hits returns the retired words of a text.
func hits(text string) (found []hit) {
	for _, name := range foreign {
		text = strings.ReplaceAll(text, name, strings.Repeat(" ", len(name)))
	}
	words := split(text)
	lower := func(i int) string { return strings.ToLower(text[words[i][0]:words[i][1]]) }
	line, counted := 1, 0
	for i := range words {
		for _, h := range forms[lower(i)] {
			_, second, phrase := strings.Cut(h.form, " ")
			if phrase && (i+1 == len(words) || lower(i+1) != second || !joins.MatchString(text[words[i][1]:words[i+1][0]])) {
				continue
			}
			line += strings.Count(text[counted:words[i][0]], "\n")
			counted = words[i][0]
			h.line = line
			found = append(found, h)
		}
	}
	return found
}
