package sigv4

import (
	"crypto/sha1" //nolint:gosec // a checksum of S3, not a proof
	"crypto/sha256"
	"hash"
	"hash/crc32"
	"hash/crc64"
)

const checksumPrefix = "x-amz-checksum-"

// nvme is the polynomial of CRC-64/NVME (NVM Express, NVM command set 1.0),
// in the reversed order that hash/crc64 takes.
const nvme = 0x9a6c9329ac4bc9b5

// checksum is the algorithm of a trailing checksum, nil for what is none (Amazon
// S3 user guide, "Checking object integrity").
func checksum(header string) hash.Hash {
	switch header {
	case checksumPrefix + "crc32":
		return crc32.NewIEEE()
	case checksumPrefix + "crc32c":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case checksumPrefix + "crc64nvme":
		return crc64.New(crc64.MakeTable(nvme))
	case checksumPrefix + "sha1":
		return sha1.New() //nolint:gosec // as above
	case checksumPrefix + "sha256":
		return sha256.New()
	}
	return nil
}
