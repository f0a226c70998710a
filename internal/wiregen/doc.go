// Package wiregen turns AWS's API models into the Go contracts of this server.
//
// The models are data: models/NAME.json in the JSON shape that AWS's SDKs share,
// with overlays/NAME.json merged over them. [APIs] says which operations are
// taken. For each API, [Generate] writes one file with the shapes, their
// constraints, the exceptions, the Service interface, an Unimplemented service,
// and an operation table; everything that can be written once for all APIs lives
// in package wire instead.
//
// The package runs at development time only; the server does not import it.
// "go generate ./internal/wiregen" writes all contracts anew, and a test fails
// when they differ from what stands in the repository.
package wiregen

//go:generate go run ./cmd
