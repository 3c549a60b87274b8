package kafkawire

// ByLeader groups what is to be sent to partitions by the broker that leads each, so that every broker gets one
// request. leaders is as Client.Leaders returns it; without are the partitions that have no leader at the moment, in
// any order.
func ByLeader[T any](leaders map[int32]int32, byPartition map[int32]T) (groups map[int32]map[int32]T, without []int32) {
	groups = map[int32]map[int32]T{}
	for partition, of := range byPartition {
		leader, ok := leaders[partition]
		if !ok {
			without = append(without, partition)
			continue
		}
		if groups[leader] == nil {
			groups[leader] = map[int32]T{}
		}
		groups[leader][partition] = of
	}
	return groups, without
}
