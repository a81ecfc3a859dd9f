package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// readService finds the shapes of a service's operations, in the serializers where the module has them and in
// its schemas where not.
func readService(service, dir string, operations []string) (shapes, error) {
	if _, err := os.Stat(filepath.Join(dir, "serializers.go")); errors.Is(err, fs.ErrNotExist) {
		return readSchemas(service, dir, operations)
	}
	functions := map[string]*ast.FuncDecl{}
	for _, name := range []string{"serializers.go", "deserializers.go"} {
		if err := parseFunctions(filepath.Join(dir, name), functions); err != nil {
			return nil, err
		}
	}
	w := walker{service: service, dir: dir, functions: functions, shapes: shapes{}, seen: map[string]bool{}}
	for prefix, rules := range protocols {
		if _, ok := functions[prefix+"_serializeOpDocument"+operations[0]+"Input"]; ok {
			w.prefix, w.protocol = prefix, rules
		}
	}
	if w.prefix == "" {
		return nil, fmt.Errorf("no serializer for %s in a protocol known here", operations[0])
	}
	for _, operation := range operations {
		if err := w.operation(operation); err != nil {
			return nil, fmt.Errorf("%s: %w", operation, err)
		}
	}
	return w.shapes, nil
}

// protocol is what the codecs take for granted about lists.
type protocol struct {
	flat  bool   // a request's lists have no ".member" between name and number
	items string // the element of a response's lists; empty where lists have none (JSON)
}

var protocols = map[string]protocol{
	"awsEc2query":  {flat: true, items: "item"},
	"awsAwsquery":  {items: "member"},
	"awsAwsjson11": {},
}

// parseFunctions adds the functions of a Go file.
func parseFunctions(file string, functions map[string]*ast.FuncDecl) error {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, decl := range parsed.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil {
			functions[f.Name.Name] = f
		}
	}
	return nil
}

// walker follows the serializers from an operation to everything it reaches.
type walker struct {
	service   string
	dir       string
	prefix    string
	protocol  protocol
	functions map[string]*ast.FuncDecl
	shapes    shapes
	seen      map[string]bool
}

func (w *walker) operation(name string) error {
	if _, err := os.Stat(filepath.Join(w.dir, "api_op_"+name+".go")); err != nil {
		return fmt.Errorf("the SDK has no such operation: %w", err)
	}
	input := w.prefix + "_serializeOpDocument" + name + "Input"
	if w.functions[input] == nil { // nothing in it to write
		w.shapes["request "+w.service+"."+name+"Input"] = nil
	} else if err := w.request(input); err != nil {
		return err
	}
	output := w.prefix + "_deserializeOpDocument" + name + "Output"
	if w.functions[output] == nil { // nothing in it to read
		w.shapes["response "+w.service+"."+name+"Output"] = nil
		return nil
	}
	return w.response(output)
}

// request reads one serializing function, then those it calls.
func (w *walker) request(name string) error {
	if w.seen[name] {
		return nil
	}
	w.seen[name] = true
	f := w.functions[name]
	if f == nil {
		return fmt.Errorf("no function %s", name)
	}
	if shape, ok := w.structName(firstParameter(f), 1); ok {
		fields := map[string]string{}
		w.shapes["request "+shape] = fields
		for _, statement := range f.Body.List {
			branch, ok := statement.(*ast.IfStmt)
			if !ok {
				continue
			}
			field, method, wire := fieldOf(branch, "v"), "", ""
			for _, m := range []string{"Key", "FlatKey"} {
				if literal := literalIn(branch, m); literal != "" {
					method, wire = m, literal
				}
			}
			if field == "" || wire == "" {
				return fmt.Errorf("%s: a statement of an unknown form", name)
			}
			fields[field] = wire
			if calls := callsIn(branch, w.prefix+"_serializeDocument"); len(calls) == 1 && w.protocol.items != "" {
				if _, isList := firstParameter(w.functions[calls[0]]).(*ast.ArrayType); isList && w.protocol.flat != (method == "FlatKey") {
					return fmt.Errorf("%s: the list %s is not written as the protocol's lists are", name, field)
				}
			}
		}
	} else if member := literalIn(f.Body, "Array"); !w.protocol.flat && w.protocol.items != "" && member != w.protocol.items {
		return fmt.Errorf("%s: not a list of %s", name, w.protocol.items)
	}
	for _, call := range callsIn(f.Body, w.prefix+"_serializeDocument") {
		if err := w.request(call); err != nil {
			return err
		}
	}
	return nil
}

// response reads one deserializing function, then those it calls.
func (w *walker) response(name string) error {
	if w.seen[name] {
		return nil
	}
	w.seen[name] = true
	f := w.functions[name]
	if f == nil {
		return fmt.Errorf("no function %s", name)
	}
	if shape, ok := w.structName(firstParameter(f), 2); ok {
		fields := map[string]string{}
		w.shapes["response "+shape] = fields
		for _, clause := range casesOf(f) {
			wire := caseLiteral(clause)
			if wire == "" { // default
				continue
			}
			field := fieldOf(clause, "sv")
			if field == "" {
				return fmt.Errorf("%s: nothing is set for %s", name, wire)
			}
			fields[field] = wire
			for _, call := range callsIn(clause, w.prefix+"_deserializeDocument") {
				if strings.HasSuffix(call, "Unwrapped") {
					return fmt.Errorf("%s: the list %s is flattened", name, field)
				}
			}
		}
	} else if w.protocol.items != "" {
		want := w.protocol.items
		if cases := casesOf(f); len(cases) == 0 || caseLiteral(cases[0]) != want && !strings.HasSuffix(name, "Unwrapped") {
			return fmt.Errorf("%s: does not hold elements named %s", name, want)
		}
	}
	for _, call := range callsIn(f.Body, w.prefix+"_deserializeDocument") {
		if err := w.response(call); err != nil {
			return err
		}
	}
	return nil
}

// structName returns the shape's name of a parameter that is a pointer to a struct, stars deep: "ec2/types.Filter".
func (w *walker) structName(t ast.Expr, stars int) (string, bool) {
	for range stars {
		star, ok := t.(*ast.StarExpr)
		if !ok {
			return "", false
		}
		t = star.X
	}
	switch t := t.(type) {
	case *ast.Ident:
		return w.service + "." + t.Name, true
	case *ast.SelectorExpr:
		return w.service + "/types." + t.Sel.Name, true
	}
	return "", false
}

func firstParameter(f *ast.FuncDecl) ast.Expr { return f.Type.Params.List[0].Type }

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

// callsIn returns the functions with the prefix that the node calls.
func callsIn(node ast.Node, prefix string) []string {
	var calls []string
	ast.Inspect(node, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if f, ok := call.Fun.(*ast.Ident); ok && strings.HasPrefix(f.Name, prefix) {
				calls = append(calls, f.Name)
			}
		}
		return true
	})
	return calls
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
