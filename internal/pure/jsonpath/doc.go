// Package jsonpath reads JSON as templates see it and finds values in it.
//
// [Parse] keeps what encoding/json loses: the order of an object's members and the
// difference between 1 and 1.0. [Compile] reads paths as the Java library Jayway
// JsonPath does, since API Gateway's $input.path and $input.json are made of it: a
// definite path gives one value, an indefinite one (wildcards, "..", filters, slices,
// unions) a list.
//
// Both bodies and paths may come from strangers: depth, length and the work of an
// evaluation are bounded, and what exceeds them is a [*LimitError].
package jsonpath

import "fmt"

// Bounds of what is read and of the work of one evaluation.
const (
	MaxDepth = 500     // of nested arrays and objects
	MaxPath  = 4096    // bytes of a path
	maxSteps = 1 << 20 // values looked at by one evaluation
	// maxValues bounds the values of a document: each takes many times its text's space.
	maxValues = 1 << 19
)

// LimitError says that a document, a path or an evaluation is larger than this
// package is willing to go.
type LimitError struct{ What string }

// Error gives the sentence.
func (e *LimitError) Error() string { return "jsonpath: " + e.What }

// SyntaxError says where a document or a path stops making sense.
type SyntaxError struct {
	Offset  int
	Message string
}

// Error gives the sentence.
func (e *SyntaxError) Error() string { return fmt.Sprintf("%s at offset %d", e.Message, e.Offset) }
