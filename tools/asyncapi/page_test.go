package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

var voids = []string{"meta", "link", "br", "hr", "img", "input"}

// tags reads the page strictly: each tag that is opened is closed, in order, and text has no stray markup.
func tags(t *testing.T, page []byte) []html.Token {
	t.Helper()
	var all []html.Token
	var open []string
	z := html.NewTokenizer(bytes.NewReader(page))
	for {
		kind := z.Next()
		token := z.Token()
		switch kind {
		case html.ErrorToken:
			if len(open) > 0 {
				t.Errorf("left open: %q", open)
			}
			return all
		case html.StartTagToken:
			all = append(all, token)
			if !slices.Contains(voids, token.Data) {
				open = append(open, token.Data)
			}
		case html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != token.Data {
				t.Fatalf("</%s> closes none of %q", token.Data, open)
			}
			open = open[:len(open)-1]
		}
	}
}

func attribute(token html.Token, name string) string {
	for _, a := range token.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// The page needs no script and nothing from elsewhere, and says to a screen reader what it shows.
func TestPage(t *testing.T) {
	service, err := describe()
	if err != nil {
		t.Fatal(err)
	}
	page, err := service.page()
	if err != nil {
		t.Fatal(err)
	}
	all := tags(t, page)
	ids, levels, counts := map[string]bool{}, []int{}, map[string]int{}
	for _, token := range all {
		counts[token.Data]++
		if id := attribute(token, "id"); id != "" {
			if ids[id] {
				t.Errorf("two elements have the id %s", id)
			}
			ids[id] = true
		}
		if len(token.Data) == 2 && token.Data[0] == 'h' && token.Data[1] >= '1' && token.Data[1] <= '6' {
			levels = append(levels, int(token.Data[1]-'0'))
		}
	}
	for _, token := range all {
		checkTag(t, token, ids)
	}
	for i, level := range levels {
		if i == 0 && level != 1 || i > 0 && (level == 1 || level > levels[i-1]+1) {
			t.Errorf("headings of the levels %v: number %d skips one", levels, i+1)
		}
	}
	if counts["main"] != 1 || counts["title"] != 1 || counts["table"] < 9 || counts["table"] != counts["caption"] ||
		counts["table"] != counts["thead"] || !bytes.HasPrefix(page, []byte("<!DOCTYPE html>\n<html lang=\"en\">")) ||
		!bytes.Contains(page, []byte(`name="viewport" content="width=device-width, initial-scale=1"`)) {
		t.Errorf("tags %v", counts)
	}
	for _, l := range limits {
		if !bytes.Contains(page, fmt.Appendf(nil, "<td>%d</td>", l.Value)) {
			t.Errorf("the limit of the %s is missing", l.What)
		}
	}
	if bytes.Contains(page, []byte("ZgotmplZ")) || bytes.Contains(bytes.ToLower(page), []byte("url(")) {
		t.Error("something from elsewhere, or something that the template refused")
	}
}

// checkTag looks at one tag: no script, no other origin, links that lead somewhere, headers of tables with a scope.
func checkTag(t *testing.T, token html.Token, ids map[string]bool) {
	t.Helper()
	if slices.Contains([]string{"script", "iframe", "object", "embed", "link", "img", "base", "form"}, token.Data) {
		t.Errorf("there is a <%s>", token.Data)
	}
	if token.Data == "th" && attribute(token, "scope") == "" {
		t.Errorf("%v has no scope", token)
	}
	for _, a := range token.Attr {
		switch {
		case strings.HasPrefix(a.Key, "on") || a.Key == "src" || a.Key == "style":
			t.Errorf("%v: %s", token, a.Key)
		case a.Key == "aria-labelledby" && !ids[a.Val]:
			t.Errorf("%v: no element has the id", token)
		case a.Key != "href":
		case strings.HasPrefix(a.Val, "#"):
			if !ids[a.Val[1:]] {
				t.Errorf("%s leads nowhere", a.Val)
			}
		default:
			file, _, _ := strings.Cut(a.Val, "#")
			if _, err := os.Stat(filepath.Join("../..", filepath.Dir(pageFile), filepath.FromSlash(file))); err != nil {
				t.Errorf("%s: %v", a.Val, err)
			}
		}
	}
}

// Text has a contrast of 4.5 at least, WCAG 2.2's level AA, on light and dark.
func TestPageHasContrast(t *testing.T) {
	color := regexp.MustCompile(`--(text|page|quiet|link|box): (#[0-9a-f]{6});`)
	found := color.FindAllStringSubmatch(pageText, -1)
	if len(found) != 10 {
		t.Fatalf("%d colours, not 5 for light and 5 for dark", len(found))
	}
	for _, theme := range [][][]string{found[:5], found[5:]} {
		colors := map[string]float64{}
		for _, c := range theme {
			colors[c[1]] = luminance(t, c[2])
		}
		for _, front := range []string{"text", "quiet", "link"} {
			for _, back := range []string{"page", "box"} {
				a, b := colors[front], colors[back]
				if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < 4.5 {
					t.Errorf("%s on %s has a contrast of %.1f", front, back, ratio)
				}
			}
		}
	}
}

// luminance is the relative luminance of WCAG 2.2.
func luminance(t *testing.T, color string) float64 {
	t.Helper()
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(color[1+2*i:3+2*i], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
