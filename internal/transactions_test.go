package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestTransactionsHaveOneContext checks that code in a transaction uses no other context than the transaction's. A
// second transaction that began with the caller's context would wait for the first; with the transaction's, it is
// refused (package db).
func TestTransactionsHaveOneContext(t *testing.T) {
	held := 0
	files := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			for _, other := range contextsIn(n, &held) {
				t.Errorf("%v: another context than the transaction's, which is tx.Context()", files.Position(other))
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if held < 50 {
		t.Errorf("only %d functions with a transaction were found", held)
	}
}

// contextsIn returns the places where a function that takes a transaction names a context other than the transaction's.
// It counts such functions in held.
func contextsIn(n ast.Node, held *int) (found []token.Pos) {
	var kind *ast.FuncType
	var body *ast.BlockStmt
	switch n := n.(type) {
	case *ast.FuncDecl:
		kind, body = n.Type, n.Body
	case *ast.FuncLit:
		kind, body = n.Type, n.Body
	}
	if body == nil || !takesTx(kind) {
		return nil
	}
	*held++
	ast.Inspect(body, func(n ast.Node) bool {
		name, ok := n.(*ast.Ident)
		if ok && name.Name == "ctx" && (name.Obj == nil || name.Obj.Pos() < body.Pos()) {
			found = append(found, name.Pos())
		}
		return true
	})
	return found
}

// takesTx reports whether a parameter is a *Tx, of whichever package.
func takesTx(kind *ast.FuncType) bool {
	for _, parameter := range kind.Params.List {
		pointer, ok := parameter.Type.(*ast.StarExpr)
		if !ok {
			continue
		}
		switch of := pointer.X.(type) {
		case *ast.Ident:
			if of.Name == "Tx" {
				return true
			}
		case *ast.SelectorExpr:
			if of.Sel.Name == "Tx" {
				return true
			}
		}
	}
	return false
}
