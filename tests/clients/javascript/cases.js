// Runs every case on a server with Google's JavaScript client, and prints a JSON object: the name
// of a case and its value, or {"error": message}. `node cases.js URL BOX`, the box in UTM as JSON.
'use strict';

const ee = require('@google/earthengine');

const LOCAL = 'projects/localhost/assets';
const SCENE = `${LOCAL}/scene`, SERIES = `${LOCAL}/series`;
const UTM = 'EPSG:32612';

/** Returns what a reducer makes of a band within the box that the second argument has. */
function reduced(image, reducer) {
  const geometry = ee.Geometry.Rectangle(JSON.parse(process.argv[3]), UTM, false);
  return image.reduceRegion({reducer, geometry, scale: 30});
}

const VALUES = {
  'a number': () => ee.Number(1).add(2),
  'a quotient': () => ee.Number(1).divide(4),
  'a gamma function that overflows': () => ee.Number(200).gamma(),
  'a root of a negative number': () => ee.Number(-1).sqrt(),
  'a string': () => ee.String('a').cat('b').toUpperCase(),
  'a list': () => ee.List([3, 1, 2]).sort().map((x) => ee.Number(x).multiply(2)),
  'a sequence': () => ee.List.sequence(0, 10, 5),
  'a sum': () => ee.List([1, 2, 3]).iterate((x, sum) => ee.Number(sum).add(x), 0),
  'a dictionary': () => ee.Dictionary({b: 1, a: [1, 'x', null]}),
  'keys': () => ee.Dictionary({b: 1, a: 2}).keys(),
  'a date': () => ee.Date('2020-02-28').advance(2, 'day').format('YYYY-MM-dd'),
  'a range of dates': () => ee.DateRange('2020-01-01', '2020-02-01'),
  'a point': () => ee.Geometry.Point(-121.5, 38),
  'bounds': () => ee.Geometry.LineString([[0, 1], [2, 3]]).bounds().coordinates(),
  'a choice': () => ee.Algorithms.If(ee.String(''), ee.Image('nothing').bandNames(), 'no'),
  'a type': () => ee.Algorithms.ObjectType(ee.List([])),
  'a filter': () => ee.Filter.equals('foo', 'bar'),
  'a projection': () => ee.Projection(UTM).nominalScale(),
  'features': () => ee.FeatureCollection([ee.Feature(null, {n: 1}), ee.Feature(null, {n: 2})])
      .filter(ee.Filter.gt('n', 1)).aggregate_array('n'),
  'band names': () => ee.Image(SCENE).bandNames(),
  'a property': () => ee.Image(SCENE).get('SENSOR'),
  'a start': () => ee.Image(SCENE).date().millis(),
  'a constant image': () => ee.Image([1, 2]).rename(['a', 'b']).bandTypes(),
  'a mean': () => reduced(ee.Image(SCENE).select('B4'), ee.Reducer.mean()),
  'a formula': () => reduced(
      ee.Image(SCENE).expression('(nir - red) * 2', {
        nir: ee.Image(SCENE).select('B8').toFloat(),
        red: ee.Image(SCENE).select('B4').toFloat(),
      }).rename('x'), ee.Reducer.max()),
  'a normalized difference': () => reduced(
      ee.Image(SCENE).normalizedDifference(['B8', 'B4']), ee.Reducer.minMax()),
  'a size': () => ee.ImageCollection(SERIES).size(),
  'names': () => ee.ImageCollection(SERIES).filter(ee.Filter.lt('CLOUD', 25)).aggregate_array('NAME'),
  'images by date': () => ee.ImageCollection(SERIES)
      .filterDate('2020-04-11', '2020-05-02').aggregate_array('system:index'),
  'images in order': () => ee.ImageCollection(SERIES).sort('CLOUD').first().get('NAME'),
  'mapped images': () => ee.ImageCollection(SERIES)
      .map((image) => image.set('twice', ee.Number(image.get('CLOUD')).multiply(2)))
      .aggregate_array('twice'),
  'an algorithm that is not computed': () => ee.ApiFunction._call('Model.fromVertexAi', 'x'),
  'a mapped function that fails': () => ee.ImageCollection(SERIES)
      .map((image) => image.set('x', ee.Number(image.get('missing')).divide(2))),
};

/** Calls that are no expressions: each takes a callback of (value, error). */
const CALLS = {
  'a new folder': (then) => ee.data.createFolder(`${LOCAL}/new`, false, then),
  'a deleted asset': (then) => ee.data.deleteAsset(SCENE, then),
  'operations': (then) => ee.data.listOperations(undefined, then),
  'an asset': (then) => ee.data.getAsset(SCENE, (asset, error) => then(asset && asset.id, error)),
  'a map': (then) => ee.Image(SCENE).select('B4').getMap(
      {min: 0, max: 4000}, (map, error) => then(Boolean(map && map.mapid), error)),
};

function settled(start) {
  return new Promise((resolve) => {
    const then = (value, error) => resolve(error ? {error: String(error)} : value);
    try {
      start(then);
    } catch (error) {
      then(undefined, error.message);
    }
  });
}

async function run() {
  const starts = {...CALLS};
  for (const [name, build] of Object.entries(VALUES)) {
    starts[name] = (then) => build().evaluate(then);
  }
  const pairs = Object.entries(starts).map(async ([name, start]) => [name, await settled(start)]);
  process.stdout.write(JSON.stringify(Object.fromEntries(await Promise.all(pairs))));
}

ee.data.setAuthToken('', 'Bearer', 'x', 3600, [], undefined, false);
ee.initialize(process.argv[2], null, run, (error) => {
  console.error(error);
  process.exit(1);
}, null, 'localhost');
