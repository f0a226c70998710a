package vtl

import "moat/internal/pure/jsonpath"

// NewTestList is [0, 1, ..., n-1].
func NewTestList(n int) *jsonpath.List {
	l := jsonpath.NewList()
	for i := range n {
		l.Items = append(l.Items, int64(i))
	}
	return l
}
