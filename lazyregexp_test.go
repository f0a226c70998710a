package moat_test

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A constant expression is compiled when it is first used, so that none costs a start
// anything, and here, so that none is wrong.
func TestArchitecture_LazyExpressions(t *testing.T) {
	t.Parallel()
	count := 0
	for _, p := range packages(t) {
		if strings.HasPrefix(p.path, "internal/wiregen") || p.path == "internal/pure/lazyregexp" {
			continue // the generator is no part of the program
		}
		for _, f := range p.files {
			for _, d := range f.Decls {
				g, ok := d.(*ast.GenDecl)
				if !ok || g.Tok != token.VAR {
					continue
				}
				ast.Inspect(g, func(n ast.Node) bool {
					if _, ok := n.(*ast.FuncLit); ok {
						return false
					}
					call, ok := n.(*ast.CallExpr)
					if !ok {
						return true
					}
					switch name := called(call); {
					case strings.HasPrefix(name, "regexp."):
						t.Errorf("%s compiles an expression whenever the program starts; use lazyregexp", p.path)
					case name == "lazyregexp.New":
						count++
						lit, ok := call.Args[0].(*ast.BasicLit)
						if !ok {
							t.Errorf("%s gives lazyregexp what is no literal", p.path)
							return true
						}
						expr, _ := strconv.Unquote(lit.Value)
						if _, err := regexp.Compile(expr); err != nil {
							t.Errorf("%s: %v", p.path, err)
						}
					}
					return true
				})
			}
		}
	}
	if count < 50 {
		t.Errorf("only %d expressions were found", count)
	}
}

// called names a function of another package, "p.F".
func called(c *ast.CallExpr) string {
	if s, ok := c.Fun.(*ast.SelectorExpr); ok {
		if x, ok := s.X.(*ast.Ident); ok {
			return x.Name + "." + s.Sel.Name
		}
	}
	return ""
}
