// Package wire speaks AWS's protocols: json, query, rest-json and rest-xml.
//
// It recognises a request, proves who sent it, decodes it into the generated
// shape of its operation, validates it, has it authorised, calls the service and
// encodes the answer. Those stages are one list, the same for every operation
// (see [Pipeline]); no operation can be reached except through it. Codecs are
// not generated: a plan per Go type, made once from the struct tags of the
// generated contracts, drives one small runtime per protocol.
//
// The package knows no service, no key and no policy: an [Authority] has those.
// What it does not recognise it refuses; it never guesses an operation.
package wire
