package store

import "errors"

var (
	// ErrNotFound says that no record has the key.
	ErrNotFound = errors.New("store: no such record")
	// ErrExists says that a record has the key already, or that another record
	// has the value of a unique index.
	ErrExists = errors.New("store: the record exists")
	// ErrReadOnly says that a View tried to write.
	ErrReadOnly = errors.New("store: a View does not write")
	// ErrClosed says that the DB was closed.
	ErrClosed = errors.New("store: the database is closed")

	errTxDone = errors.New("store: the transaction has ended")
)
