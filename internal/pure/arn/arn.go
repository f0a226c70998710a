// Package arn parses and prints Amazon Resource Names.
//
// An ARN has six fields separated by colons; only the last may itself hold
// colons. The package knows nothing of services and checks no field's content.
package arn

import (
	"errors"
	"strings"
)

// ErrSyntax is returned for text that is not an ARN.
var ErrSyntax = errors.New("arn: not an ARN")

// ARN is the name of one resource, split at its colons.
type ARN struct {
	Partition, Service, Region, Account, Resource string
}

// Parse splits s. It returns [ErrSyntax] unless s has the prefix "arn:", six
// fields, and a partition, a service and a resource that are not empty.
// The fields are views of s.
func Parse(s string) (ARN, error) {
	rest, ok := strings.CutPrefix(s, "arn:")
	if !ok {
		return ARN{}, ErrSyntax
	}
	var a ARN
	for _, field := range [...]*string{&a.Partition, &a.Service, &a.Region, &a.Account} {
		*field, rest, ok = strings.Cut(rest, ":")
		if !ok {
			return ARN{}, ErrSyntax
		}
	}
	a.Resource = rest
	if a.Partition == "" || a.Service == "" || a.Resource == "" {
		return ARN{}, ErrSyntax
	}
	return a, nil
}

// String is the inverse of [Parse].
func (a ARN) String() string {
	return "arn:" + a.Partition + ":" + a.Service + ":" + a.Region + ":" + a.Account + ":" + a.Resource
}

// Type returns what stands before the first slash or colon of the resource
// ("role" of role/path/name), or "" when there is no such separator.
func (a ARN) Type() string {
	if i := strings.IndexAny(a.Resource, "/:"); i >= 0 {
		return a.Resource[:i]
	}
	return ""
}

// Name returns what stands after the last slash of the resource.
func (a ARN) Name() string {
	return a.Resource[strings.LastIndexByte(a.Resource, '/')+1:]
}
