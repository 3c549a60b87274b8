package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strings"
	"testing"
)

// A method or field that is named with its type where the code is explained is that type's. What has moved to another
// type would be looked for in vain, although its name still stands somewhere.
func TestDocsMembers(t *testing.T) {
	all := members{}
	for _, source := range sources(t, "client", "cmsclient", "cmssim", "consumer", "deadletter", "inflight", "internal",
		"kafkawire", "processor", "producer", "schemas", "telemetry") {
		file, err := parser.ParseFile(token.NewFileSet(), "", source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			all.declare(decl)
		}
	}
	named, seen := regexp.MustCompile("`(?:\\w+\\.)*(\\w+)\\.(\\w+)`"), 0
	for page, text := range pages(t) {
		if !explainsCode(page) {
			continue
		}
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			if all[m[1]] == nil {
				continue
			}
			if seen++; !all.has(m[1], m[2]) {
				t.Errorf("%s names %s, and no type %s has it", page, m[0], m[1])
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d are found", seen)
	}
}

// members are the fields and methods of types by name, those of the same name in several packages together. One that is
// embedded leads to the type of its name.
type members map[string]map[string]bool

func (m members) declare(decl ast.Decl) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv != nil {
			m.add(typeName(d.Recv.List[0].Type), d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if s, ok := spec.(*ast.TypeSpec); ok {
				m.fields(s)
			}
		}
	}
}

func (m members) fields(s *ast.TypeSpec) {
	var list *ast.FieldList
	switch of := s.Type.(type) {
	case *ast.StructType:
		list = of.Fields
	case *ast.InterfaceType:
		list = of.Methods
	default:
		return
	}
	for _, field := range list.List {
		for _, name := range field.Names {
			m.add(s.Name.Name, name.Name)
		}
		if len(field.Names) == 0 {
			m.add(s.Name.Name, embedded+typeName(field.Type))
		}
	}
}

const embedded = "embedded "

func (m members) add(of, name string) {
	if m[of] == nil {
		m[of] = map[string]bool{}
	}
	m[of][name] = true
}

func (m members) has(of, name string) bool {
	if m[of][name] {
		return true
	}
	for member := range m[of] {
		if inner, ok := strings.CutPrefix(member, embedded); ok && inner != of && m.has(inner, name) {
			return true
		}
	}
	return false
}

// typeName is the name of a type without its package, parameters and stars.
func typeName(of ast.Expr) string {
	switch of := of.(type) {
	case *ast.Ident:
		return of.Name
	case *ast.StarExpr:
		return typeName(of.X)
	case *ast.SelectorExpr:
		return of.Sel.Name
	case *ast.IndexExpr:
		return typeName(of.X)
	case *ast.IndexListExpr:
		return typeName(of.X)
	}
	return ""
}
