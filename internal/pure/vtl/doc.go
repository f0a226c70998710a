// Package vtl renders mapping templates: the Velocity Template Language as API
// Gateway speaks it.
//
// [Compile] parses once; a [Template] is immutable and renders many times at once. The
// dialect is that of Velocity 1.7 with what AWS was seen to do differently: a
// reference without a value is the empty text, and since only null and false are false
// it is also true; "null" is a value; loops end after a thousand rounds.
//
// Templates are written by an API's owner, but what they chew on comes from strangers:
// the steps, the text and the nesting of one rendering are bounded, and what exceeds
// them is a [*LimitError]. The package does no I/O and knows no gateway: what $input,
// $context and $util are is the caller's [Variables]; [Input] and [Util] are here for
// that.
package vtl
