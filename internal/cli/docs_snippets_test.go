package cli

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/schemas"
)

// snippets is the page of programs for other languages; make snippets runs them.
const snippets = "docs/snippets.md"

// partitioners are the programs, and what each says to have a contract's requests in one partition.
var partitioners = map[string]string{
	"Ask.java":           "Java's default partitioner hashes keys by murmur2",
	"AskWithSpring.java": "Java's default partitioner hashes keys by murmur2",
	"ask.py":             `"partitioner": "murmur2_random"`,
	"ask.mjs":            "createPartitioner: Partitioners.DefaultPartitioner",
	"ask.sh":             "-X partitioner=murmur2_random",
}

// Programs for other languages are short, and do and name what every client has to.
func TestDocsSnippets(t *testing.T) {
	const mostLines = 60
	topics := config.Default().Topics
	wanted := []string{topics.Requests, topics.Results, schemas.OutcomeFailed, `read_committed|readUncommitted: false`,
		"contractId", "balanceCodes", "requestId", "deadline", "outcome", "reason", "balances", "balanceCode", "balanceValue",
		"balanceCurrency"}
	members := memberNames(t)
	looksLikeMember := regexp.MustCompile(`\b(?:balance|contract|missing|retrieved|cms)[A-Z]\w*`)
	found := map[string]bool{}
	for _, b := range blocks(pages(t)[snippets]) {
		name, marked := strings.CutPrefix(b.mark, "snippet: ")
		if !marked {
			continue
		}
		found[name] = true
		if n := strings.Count(b.text, "\n"); n > mostLines {
			t.Errorf("%s has %d lines, a snippet has %d at most", name, n, mostLines)
		}
		for _, want := range append(wanted, regexp.QuoteMeta(partitioners[name])) {
			if !regexp.MustCompile(want).MatchString(b.text) {
				t.Errorf("%s does not say %s", name, want)
			}
		}
		for _, member := range looksLikeMember.FindAllString(b.text, -1) {
			if !members[member] {
				t.Errorf("%s names %s, which no message has", name, member)
			}
		}
	}
	if got, want := slices.Sorted(maps.Keys(found)), slices.Sorted(maps.Keys(partitioners)); !slices.Equal(got, want) {
		t.Errorf("%s holds %v, want %v", snippets, got, want)
	}
}

// What the pages show of a program, marked "part of: FILE", is in it, paragraph by paragraph; make snippets runs it.
func TestDocsParts(t *testing.T) {
	unindented := func(text string) string { return regexp.MustCompile(`(?m)^[ \t]+`).ReplaceAllString(text, "") }
	var shown []string
	for page, text := range pages(t) {
		for _, b := range blocks(text) {
			file, marked := strings.CutPrefix(b.mark, "part of: ")
			if !marked {
				continue
			}
			shown = append(shown, file)
			program, err := os.ReadFile(filepath.Join(moduleRoot, file))
			if err != nil {
				t.Error(err)
			}
			for paragraph := range strings.SplitSeq(strings.TrimSpace(b.text), "\n\n") {
				if !strings.Contains(unindented(string(program)), unindented(paragraph)) {
					t.Errorf("%s shows what is not in %s:\n%s", page, file, paragraph)
				}
			}
		}
	}
	slices.Sort(shown)
	const programs = "e2e/testdata/cloudevents/"
	want := []string{programs + "Events.java", programs + "events.mjs", programs + "events.py",
		"tools/cloudevents/main.go"}
	if !slices.Equal(shown, want) {
		t.Errorf("the pages show parts of %q, want %q", shown, want)
	}
}

// The topics and headers that the pages for clients name are those of the code.
func TestDocsNamesForClients(t *testing.T) {
	defaults := config.Default()
	named := defaults.Topics
	topics := []string{named.Requests, named.Results, named.DeadLetters, named.Replays}
	headers := append([]string{schemas.HeaderReplyTopic, schemas.HeaderReplyPartition, schemas.HeaderEventID,
		schemas.HeaderEventSpecVersion, schemas.HeaderEventType, schemas.HeaderEventSource,
		schemas.HeaderEventDataSchema, schemas.HeaderEventTraceparent}, defaults.Results.EchoHeaders...)
	for _, page := range []string{snippets, contracts} {
		text := pages(t)[page]
		for _, m := range regexp.MustCompile("[\\s\"'`](balance\\.[a-z]+)[\\s\"'`/,]").FindAllStringSubmatch(text, -1) {
			if !slices.Contains(topics, m[1]) {
				t.Errorf("%s names the topic %s", page, m[1])
			}
		}
		for _, header := range regexp.MustCompile(`\b(?:kafka|ce)_\w+`).FindAllString(text, -1) {
			if !slices.Contains(headers, header) {
				t.Errorf("%s names the header %s", page, header)
			}
		}
	}
	for _, header := range defaults.Results.EchoHeaders {
		if !strings.Contains(pages(t)[contracts], "`"+header+"`") {
			t.Errorf("%s does not name %s", contracts, header)
		}
	}
}

// memberNames are those of requests and results.
func memberNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	var collect func(any)
	collect = func(node any) {
		object, _ := node.(map[string]any)
		for name, item := range object {
			if name == "properties" {
				of, _ := item.(map[string]any)
				for member := range of {
					names[member] = true
				}
			}
			collect(item)
		}
		list, _ := node.([]any)
		for _, item := range list {
			collect(item)
		}
	}
	for _, name := range []string{"balance-request", "balance-result"} {
		text, err := schemas.Files.ReadFile("v1/" + name + ".schema.json")
		if err != nil {
			t.Fatal(err)
		}
		var schema any
		if err := json.Unmarshal(text, &schema); err != nil {
			t.Fatal(err)
		}
		collect(schema)
	}
	return names
}
