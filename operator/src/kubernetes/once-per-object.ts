/** `read`, asked once of each object and remembered as long as that object lives. Only for objects that never change, as those of a cache. */
export function oncePerObject<K extends object, V>(read: (object: K) => V): (object: K) => V {
  const known = new WeakMap<K, { readonly value: V }>();
  return (object) => {
    const found = known.get(object) ?? { value: read(object) };
    known.set(object, found);
    return found.value;
  };
}
