package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// service is a service whose module has serializers.
type service struct {
	name   string // of the module
	prefix string // of the functions for its protocol
	lower  bool   // a response's names begin in lower case where Go's begin in upper case
}

// read returns a line for each shape with fields that are called otherwise than the codec takes for granted.
func (s service) read(dir string) ([]string, error) {
	requests, err := s.lines(dir, "request", "serialize", written)
	if err != nil {
		return nil, err
	}
	responses, err := s.lines(dir, "response", "deserialize", read)
	return append(requests, responses...), err
}

// functions are those that write or read a document, or a part of one, by their names.
type functions map[string]*ast.FuncDecl

// lines returns the lines of one direction. fields reads a function that does a struct, and returns the names on the
// wire of its fields.
func (s service) lines(
	dir, direction, does string, fields func(functions, *ast.FuncDecl) (map[string]string, error),
) ([]string, error) {
	all, err := s.functions(dir, does)
	if err != nil {
		return nil, err
	}
	var lines []string
	for name, f := range all {
		shape := shapeOf(f)
		if shape == "" {
			continue
		}
		names, err := fields(all, f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if renamed := s.renamed(direction, names); renamed != "" {
			lines = append(lines, direction+" "+s.name+shape+renamed)
		}
	}
	return lines, nil
}

func (s service) functions(dir, does string) (functions, error) {
	file := filepath.Join(dir, does+"rs.go")
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	all := functions{}
	for _, decl := range parsed.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Recv != nil {
			continue
		}
		name, ok := strings.CutPrefix(f.Name.Name, s.prefix+"_"+does)
		if ok && strings.HasPrefix(strings.TrimPrefix(name, "Op"), "Document") {
			all[f.Name.Name] = f
		}
	}
	return all, nil
}

// shapeOf returns the struct that a function writes or reads, its first parameter: "/types.Filter". It is empty for a
// function that does a list or a map.
func shapeOf(f *ast.FuncDecl) string {
	t := f.Type.Params.List[0].Type
	for {
		star, ok := t.(*ast.StarExpr)
		if !ok {
			break
		}
		t = star.X
	}
	switch t := t.(type) {
	case *ast.Ident:
		return "." + t.Name
	case *ast.SelectorExpr:
		return "/types." + t.Sel.Name
	}
	return ""
}

// renamed renders the fields that are called otherwise than the codec takes for granted.
func (s service) renamed(direction string, fields map[string]string) string {
	var renamed []string
	for name, wire := range fields {
		usual := name
		if s.lower && direction == "response" {
			usual = strings.ToLower(name[:1]) + name[1:]
		}
		if wire != usual && ast.IsExported(name) {
			renamed = append(renamed, " "+name+"="+wire)
		}
	}
	slices.Sort(renamed)
	return strings.Join(renamed, "")
}

// written reads a serializing function: if v.Field != nil { object.Key("Name")… }.
func written(_ functions, f *ast.FuncDecl) (map[string]string, error) {
	fields := map[string]string{}
	for _, statement := range f.Body.List {
		branch, ok := statement.(*ast.IfStmt)
		if !ok {
			continue
		}
		field, wire := fieldOf(branch, "v"), literalIn(branch, "Key")+literalIn(branch, "FlatKey")
		if field == "" || wire == "" {
			return nil, errors.New("a statement of an unknown form")
		}
		fields[field] = wire
	}
	return fields, nil
}

// read reads a deserializing function: case "name": … sv.Field = …. Where the elements of a list are not called item,
// "/" and their name follow the name of the list.
func read(all functions, f *ast.FuncDecl) (map[string]string, error) {
	fields := map[string]string{}
	for _, clause := range casesOf(f) {
		wire := caseLiteral(clause)
		if wire == "" { // default
			continue
		}
		field := fieldOf(clause, "sv")
		if field == "" {
			return nil, fmt.Errorf("nothing is set for %s", wire)
		}
		fields[field] = wire
		if item := all.itemsIn(clause); item != "" && item != "item" {
			fields[field] += "/" + item
		}
	}
	return fields, nil
}

// itemsIn returns what the elements are called of the list that a clause reads; empty if it reads none.
func (all functions) itemsIn(clause *ast.CaseClause) string {
	item := ""
	ast.Inspect(clause, func(n ast.Node) bool {
		if name, ok := n.(*ast.Ident); ok {
			if f := all[name.Name]; f != nil && shapeOf(f) == "" && len(casesOf(f)) > 0 {
				item = caseLiteral(casesOf(f)[0])
			}
		}
		return true
	})
	return item
}

// fieldOf returns the first field of the variable that the node uses.
func fieldOf(node ast.Node, variable string) string {
	field := ""
	ast.Inspect(node, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && field == "" {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == variable {
				field = s.Sel.Name
			}
		}
		return field == ""
	})
	return field
}

// literalIn returns the text given to the first call of the method in the node.
func literalIn(node ast.Node, method string) string {
	text := ""
	ast.Inspect(node, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && text == "" && len(call.Args) > 0 {
			if s, ok := call.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == method {
				text = literal(call.Args[0])
			}
		}
		return text == ""
	})
	return text
}

// casesOf returns the clauses of the switch in the function's loop.
func casesOf(f *ast.FuncDecl) []*ast.CaseClause {
	var clauses []*ast.CaseClause
	for _, statement := range f.Body.List {
		var loop []ast.Stmt
		switch s := statement.(type) {
		case *ast.ForStmt:
			loop = s.Body.List
		case *ast.RangeStmt:
			loop = s.Body.List
		}
		for _, inner := range loop {
			if s, ok := inner.(*ast.SwitchStmt); ok {
				for _, clause := range s.Body.List {
					clauses = append(clauses, clause.(*ast.CaseClause))
				}
			}
		}
	}
	return clauses
}

// caseLiteral returns the name a clause stands for: case "name" or case strings.EqualFold("name", …).
func caseLiteral(clause *ast.CaseClause) string {
	if len(clause.List) != 1 {
		return ""
	}
	if call, ok := clause.List[0].(*ast.CallExpr); ok && len(call.Args) > 0 {
		return literal(call.Args[0])
	}
	return literal(clause.List[0])
}

func literal(e ast.Expr) string {
	if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
		text, _ := strconv.Unquote(l.Value)
		return text
	}
	return ""
}
