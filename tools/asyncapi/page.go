package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed page.html
var pageText string

// page returns the reference for people: one file, without scripts and without anything from elsewhere.
func (s service) page() ([]byte, error) {
	t, err := template.New("page").Funcs(template.FuncMap{
		"headers": s.allHeaders, "members": members, "body": body, "sorted": sortedHeaders,
	}).Parse(pageText)
	if err != nil {
		return nil, fmt.Errorf("page.html: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, s); err != nil {
		return nil, fmt.Errorf("page.html: %w", err)
	}
	return b.Bytes(), nil
}

// body is the text of an example.
func body(e example) (string, error) {
	text, err := read(e.File)
	return strings.TrimSuffix(string(text), "\n"), err
}

func sortedHeaders(e example) []header {
	var all []header
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		all = append(all, header{Name: name, Const: e.Headers[name]})
	}
	return all
}

// member is a row about one member of a JSON object.
type member struct {
	Name, Form, About string
	Required          bool
}

// members lists those of a schema, with those of objects within, in the order of the file.
func members(file string) ([]member, error) {
	text, err := read(file)
	if err != nil {
		return nil, err
	}
	var doc yaml.Node // JSON is YAML too, and this keeps the order
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	root := doc.Content[0]
	return objectMembers(root, root, ""), nil
}

func objectMembers(root, n *yaml.Node, prefix string) []member {
	var all []member
	required := words(child(n, "required"))
	properties := child(n, "properties")
	for i := 0; properties != nil && i+1 < len(properties.Content); i += 2 {
		name, schema := properties.Content[i].Value, properties.Content[i+1]
		all = append(all, member{prefix + name, form(root, schema), value(schema, "description"),
			slices.Contains(required, name)})
		all = append(all, objectMembers(root, schema, prefix+name+".")...)
		if items := child(schema, "items"); items != nil {
			all = append(all, objectMembers(root, items, prefix+name+"[].")...)
		}
	}
	return all
}

// form says in words which values a schema takes.
func form(root, schema *yaml.Node) string {
	if ref := value(schema, "$ref"); ref != "" {
		return form(root, child(child(root, "$defs"), strings.TrimPrefix(ref, "#/$defs/")))
	}
	if one := child(schema, "oneOf"); one != nil {
		var forms []string
		for _, s := range one.Content {
			forms = append(forms, form(root, s))
		}
		return strings.Join(forms, ", or ")
	}
	if only := value(schema, "const"); only != "" {
		return only
	}
	if one := words(child(schema, "enum")); one != nil {
		return strings.Join(one, ", ")
	}
	said := strings.Join(words(child(schema, "type")), " or ")
	for _, r := range []struct{ least, most, unit string }{
		{"minLength", "maxLength", " characters"}, {"minimum", "maximum", ""}, {"minItems", "maxItems", " entries"},
	} {
		switch least, most := value(schema, r.least), value(schema, r.most); {
		case least != "" && least == most:
			said += ", " + least + r.unit
		case least != "" && most != "":
			said += ", " + least + " to " + most + r.unit
		case most != "":
			said += ", at most " + most + r.unit
		case least == "1" && r.unit != "":
			said += ", not empty"
		case least != "":
			said += ", at least " + least + r.unit
		}
	}
	if format := value(schema, "format"); format != "" {
		said += ", " + format
	}
	// What control characters are is in the description.
	if pattern := value(schema, "pattern"); pattern != "" && !strings.ContainsRune(pattern, 0) {
		said += ", " + pattern
	}
	if items := child(schema, "items"); items != nil && child(items, "properties") == nil {
		said += "; each: " + form(root, items)
	}
	return said
}

func child(n *yaml.Node, name string) *yaml.Node {
	for i := 0; n != nil && n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

func value(n *yaml.Node, name string) string {
	if v := child(n, name); v != nil {
		return v.Value
	}
	return ""
}

// words are the texts of an array, or the one that stands instead.
func words(n *yaml.Node) []string {
	if n == nil {
		return nil
	}
	if n.Kind == yaml.ScalarNode {
		return []string{n.Value}
	}
	all := make([]string, len(n.Content))
	for i, v := range n.Content {
		all[i] = v.Value
	}
	return all
}
