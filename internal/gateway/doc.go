// Package gateway serves deployed REST APIs: it is the data plane.
//
// It knows no control-plane type and reads no table. [Compile] turns a plain
// [Definition] into an immutable [Snapshot]; [Gateway.Publish] swaps it in with an
// atomic pointer. A request is one [Exchange] that walks one flat list of steps:
// match, resource policy, API key and usage plan, throttle, authorise, cache, validate,
// integrate, map response. The first step that returns an error ends the walk; the
// error is one gateway response type, so each refusal names the step and the grounds.
//
// It refuses what it cannot decide: an unknown authorizer, an unreadable policy, a
// key set that cannot be had, an undecodable path are refusals, never a pass.
package gateway
