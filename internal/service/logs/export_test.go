package logs

import (
	"testing"

	"moat/internal/store"
)

// ChunkTests are the tests of chunks that any store must pass.
func ChunkTests() map[string]func(*testing.T, func(*testing.T) store.Config) {
	return map[string]func(*testing.T, func(*testing.T) store.Config){"model": testChunksModel, "follow": testChunksFollow, "older": testChunksOlder}
}
