package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// maxFileSize bounds the configuration file and the files of secrets, in case the path is that of something else.
const maxFileSize = 1 << 20

// setting is one key's value as some source gave it.
type setting struct {
	key    *key
	text   string
	origin string // "--kafka.group", "BALANCEQ_KAFKA_GROUP", "balanceq.yaml:3"
}

// readFile reads a file of at most maxFileSize bytes. Its errors name the path.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written

	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("%s is larger than %s", path, formatSize(maxFileSize))
	}
	return data, nil
}

// fileReader turns YAML into settings. It works on yaml.v3's nodes and takes scalars as they are written, for three
// reasons: messages can name the line, nothing is guessed (007, off, 5 as nanoseconds), and what a map cannot hold is
// seen (duplicates, a second document).
type fileReader struct {
	name     string         // of the file, for messages
	lines    map[string]int // where each key and section was first given
	settings []setting
	problems []problem
}

// parseFile reads the content of the file of that name. Settings are returned along with problems.
func parseFile(name string, data []byte) ([]setting, []problem) {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		name = strconv.Quote(name)
	}
	r := &fileReader{name: name, lines: map[string]int{}}

	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, nil // empty, or nothing but comments
	case err != nil:
		r.syntax(err)
		return nil, r.problems
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		r.report(second.Line, "", "a second YAML document begins here", "remove it and the --- before it")
	case !errors.Is(err, io.EOF):
		r.syntax(err)
	}

	switch root := document.Content[0]; {
	case root.Kind == yaml.MappingNode:
		r.section("", root)
	case !isNull(root):
		r.report(root.Line, "", "the file is "+describe(root), "write keys and values, for example kafka.group: balanceq")
	}
	return r.settings, r.problems
}

// section reads a mapping; prefix is empty or ends in a dot.
func (r *fileReader) section(prefix string, mapping *yaml.Node) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		name, node := mapping.Content[i], mapping.Content[i+1]
		if name.Kind != yaml.ScalarNode || name.Tag == "!!merge" {
			r.report(name.Line, strings.TrimSuffix(prefix, "."), "a key is "+describe(name), "write a name")
			continue
		}
		full := prefix + name.Value
		if first, given := r.lines[full]; given {
			r.report(name.Line, full, fmt.Sprintf("was already given in line %d", first), "keep one of them")
			continue
		}
		r.lines[full] = name.Line
		r.entry(full, name.Line, node)
	}
}

// entry reads what stands behind one name: a key's value or a section.
func (r *fileReader) entry(name string, line int, node *yaml.Node) {
	k := lookup(name)
	inside := firstKeyOf(name)
	switch {
	case k != nil && k.secret():
		r.report(line, name, "is a secret and has no place in this file", "set "+k.env()+" or "+k.name+"-file")
	case k != nil:
		r.value(k, line, node)
	case node.Kind == yaml.MappingNode && (inside != nil || len(node.Content) > 0):
		r.section(name+".", node) // an unknown section too: its keys are easier to recognise than its name
	case inside == nil:
		r.report(line, name, "unknown key", suggestion(name, fileNames()))
	case !isNull(node): // a section without anything in it is what commenting out leaves behind
		r.report(line, name, "is "+describe(node)+", but stands for a section",
			fmt.Sprintf("write its keys below it, for example %s: %s", inside.name, inside.example))
	}
}

// value reads a scalar, or a list of scalars where the key is a list.
func (r *fileReader) value(k *key, line int, node *yaml.Node) {
	v := k.bind(new(Config))
	_, isList := v.(list)
	given := setting{key: k, origin: r.at(line)}
	switch {
	case isNull(node):
		r.report(line, k.name, "has no value", "write "+v.expects()+", for example "+k.example+", or remove the line")
		return
	case isPlain(node):
		given.text = node.Value
	case isList && node.Kind == yaml.SequenceNode:
		items := make([]string, len(node.Content))
		for i, item := range node.Content {
			if !isPlain(item) || isNull(item) {
				r.report(item.Line, k.name, fmt.Sprintf("item %d is %s", i+1, describe(item)), "write for example "+k.example)
				return
			}
			items[i] = item.Value
		}
		given.text = strings.Join(items, ",")
	default:
		r.report(line, k.name, "is "+describe(node), "write "+v.expects()+", for example "+k.example)
		return
	}
	r.settings = append(r.settings, given)
}

func (r *fileReader) at(line int) string { return r.name + ":" + strconv.Itoa(line) }

// report adds a problem of a line; name is the key, "" for none.
func (r *fileReader) report(line int, name, what, fix string) {
	if name != "" {
		name = visible(name)
	}
	p := wrong(what, fix, name)
	p.From = []string{r.at(line)}
	r.problems = append(r.problems, p)
}

// anchorName is in the parser's text where a value begins with an asterisk, as passwords may.
var anchorName = regexp.MustCompile(`(anchor) '[^']*'`)

var yamlError = regexp.MustCompile(`(?s)^yaml: (?:line (\d+): )?(.*)$`)

// syntax reports what the YAML parser could not read.
func (r *fileReader) syntax(err error) {
	line, text := 1, err.Error()
	if m := yamlError.FindStringSubmatch(text); m != nil {
		text = m[2]
		if n, convErr := strconv.Atoi(m[1]); convErr == nil {
			line = n
		}
		// yaml.v3 counts from 0 in what its parser reports, and from 1 in what its scanner does.
		if m[1] != "" && strings.HasPrefix(text, "did not find") {
			line++
		}
	}
	text = anchorName.ReplaceAllString(text, "$1")
	fix := "look for wrong indentation, a missing colon or quote from this line on"
	if strings.Contains(text, "cannot start any token") {
		fix = "indent with spaces, not with a tab, and quote what begins with @, ` or %"
	}
	r.report(line, "", "this is not YAML: "+text, fix)
}

// isNull says that nothing was written, or ~ or null.
func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// isPlain says that a node is a scalar without a tag of its own: nothing here resolves !vault and the like.
func isPlain(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Style&yaml.TaggedStyle == 0 }

// describe names a node that is not what it should be.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "a section"
	case n.Kind == yaml.AliasNode:
		return "a YAML alias (*" + visible(n.Value) + ")"
	case n.Tag == "!!merge":
		return "a YAML merge (<<)"
	case isNull(n):
		return "empty"
	case !isPlain(n):
		return "tagged " + visible(n.Tag)
	}
	return "a single value" // not repeated: it may be an address with credentials
}

// firstKeyOf returns the first key of a section, or nil if there is no such section.
func firstKeyOf(section string) *key {
	for i := range keys {
		if strings.HasPrefix(keys[i].name, section+".") {
			return &keys[i]
		}
	}
	return nil
}

// fileNames lists the keys and sections that the file may contain.
func fileNames() []string {
	var names []string
	for i := range keys {
		if keys[i].secret() {
			continue
		}
		name := keys[i].name
		names = append(names, name)
		for dot := strings.LastIndex(name, "."); dot > 0; dot = strings.LastIndex(name, ".") {
			if name = name[:dot]; !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}
