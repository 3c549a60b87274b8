package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// quoted is the JSON of a file of schemas/v1, which is YAML too, with its members in their order.
func quoted(file string) (*yaml.Node, error) {
	body, err := read(file)
	if err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(body, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	blocks(doc.Content[0])
	return doc.Content[0], nil
}

// blocks puts the members of objects and arrays on lines of their own.
func blocks(n *yaml.Node) {
	if len(n.Content) > 0 {
		n.Style = 0
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			child.Style = 0
		}
		blocks(child)
	}
}

// object makes a mapping of names and values, in this order.
func object(pairs ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := 0; i+1 < len(pairs); i += 2 {
		add(n, fmt.Sprint(pairs[i]), pairs[i+1])
	}
	return n
}

func add(to *yaml.Node, name string, value any) {
	n, isNode := value.(*yaml.Node)
	if number, isNumber := value.(int); isNumber {
		n = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(number)}
	} else if !isNode {
		n = text(fmt.Sprint(value))
	}
	to.Content = append(to.Content, text(name), n)
}

func text(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

func list(items []*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: items}
}

func stringMap(m map[string]string) *yaml.Node {
	n := object()
	for _, name := range slices.Sorted(maps.Keys(m)) {
		add(n, name, m[name])
	}
	return n
}

func reference(to string) *yaml.Node { return object("$ref", to) }
