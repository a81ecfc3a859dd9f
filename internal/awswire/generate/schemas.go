package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
)

// scalarWrites are the calls by which a SerializeMembers writes a value that holds no further names.
var scalarWrites = map[string]bool{
	"WriteString": true, "WriteBool": true, "WriteInt32": true, "WriteInt64": true, "WriteTime": true,
}

// readSchemas finds the shapes of a service whose module ships schemas in place of serializers: the types say
// which schema member each field is written as, the schemas how that member is called. Only operations whose
// input and output hold nothing but scalars can be read so far; another is refused.
func readSchemas(service, dir string, operations []string) (shapes, error) {
	members, err := schemaMembers(filepath.Join(dir, "schemas", "schemas.go"))
	if err != nil {
		return nil, err
	}
	found := shapes{}
	for _, operation := range operations {
		file := filepath.Join(dir, "api_op_"+operation+".go")
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, decl := range parsed.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv == nil || f.Name.Name != "SerializeMembers" {
				continue
			}
			shape := f.Recv.List[0].Type.(*ast.StarExpr).X.(*ast.Ident).Name
			fields, err := writtenFields(f, members)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", shape, err)
			}
			switch {
			case strings.HasSuffix(shape, "Input"):
				found["request "+service+"."+shape] = fields
			case strings.HasSuffix(shape, "Output"):
				found["response "+service+"."+shape] = fields
			}
		}
	}
	return found, nil
}

// schemaMembers maps a member's variable to its wire name: X_Y = X.AddMember("Y", …).
func schemaMembers(file string) (map[string]string, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	members := map[string]string{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if a, ok := n.(*ast.AssignStmt); ok && len(a.Lhs) == 1 {
			if variable, ok := a.Lhs[0].(*ast.Ident); ok {
				if wire := literalIn(a, "AddMember"); wire != "" {
					members[variable.Name] = wire
				}
			}
		}
		return true
	})
	return members, nil
}

// writtenFields reads a SerializeMembers: s.WriteString(schemas.X_Y, *v.Field).
func writtenFields(f *ast.FuncDecl, members map[string]string) (map[string]string, error) {
	fields := map[string]string{}
	var err error
	ast.Inspect(f.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !scalarWrites[method.Sel.Name] || len(call.Args) != 2 {
			err = fmt.Errorf("holds more than scalars")
			return false
		}
		variable := call.Args[0].(*ast.SelectorExpr).Sel.Name
		wire, ok := members[variable]
		if !ok {
			err = fmt.Errorf("the schemas have no %s", variable)
		}
		fields[fieldOf(call.Args[1], "v")] = wire
		return false
	})
	return fields, err
}
