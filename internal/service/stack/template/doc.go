// Package template reads CloudFormation templates and answers what they mean.
//
// It owns the document model (ordered values that remember file, line and column),
// the YAML and JSON readers with the short forms of the intrinsic functions, the
// sections of a template, parameters, conditions, the evaluation of intrinsic
// functions, the dependency graph, and the property schemas of the resource types
// that can be deployed. It does no I/O: what a template refers to outside itself
// (a parameter store, an export, an included file) is asked of the caller.
//
// A mistake is an [Error]: file, line, logical id, property, and what was expected.
package template
